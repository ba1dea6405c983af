"""What the data of every program family has in common: the keys under `data:` in a recipe, and how a set is made from them.

A family is a subclass of `Data` in a file of its own, with its dials as fields, `programs` that draws the set, and a file of
phrasings (documents/templates). `pbb.programs.families` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pbb.programs.program import Program

MOST = 100_000_000  # programs of a group: more than any machine holds
Report = Callable[[int, int, str], None]
"""(done, total, what is counted)."""


class Data(BaseModel):
    """The program set of a recipe. `train_inputs` and `test_inputs` are per program.

    code: modules whose change makes the programs anew, besides those of all families. templates: name of the phrasings.
    """

    model_config = ConfigDict(extra="forbid")
    code: ClassVar[tuple[str, ...]] = ()
    templates: ClassVar[str] = ""
    family: str
    io: int = Field(400, ge=0, le=MOST)
    source_only: int = Field(100, ge=1, le=MOST)
    train_inputs: int = Field(20, ge=1)
    test_inputs: int = Field(10, ge=1)

    def programs(self, seed: int, asked: int, report: Report) -> list[Program]:
        """The set: the same for the same fields, seed and `asked`, how many held-out calls of a program will be put to a model.

        Every output comes from executing the source. No w/o IO program has the outputs of any other program on the calls asked.

        Raises:
            PbbError: the dials leave too few programs or inputs.
        """
        raise NotImplementedError

    def isolate(self) -> bool | None:
        """None where pbb has written the programs itself; else whether this third-party code may be executed, which is then isolated."""
        return None

    def digest(self) -> str | None:
        """What tells the versions of outside files apart, where the set is made of such."""
        return None
