"""What an arm goes through: stages, each a mix of documents and how to train on it, and the arms that chain them.

Contract: a stage knows what it can of itself; whether the programs, stages and models exist that it names is the matter of `pbb.recipe`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from pbb.documents.chats import Chat
from pbb.documents.corpus import Share, Some
from pbb.documents.render import Representation
from pbb.programs.program import Group
from pbb.recipe_claims import Strict
from pbb.training.dials import BATCH, MOST, Training
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Grpo


class Phrasings(Strict):
    """Augmentation: how many of the phrasings of prompts and of responses are used."""

    prompt: int = Field(20, ge=1)
    response: int = Field(20, ge=1)


Model = Annotated[str, AfterValidator(lambda name: name.rstrip("/") or name)]
"""A model's name or folder: `bases/x` and `bases/x/` are one."""


def _kind(part: Any) -> str:
    kind = part.get("kind") if isinstance(part, dict) else getattr(part, "kind", None)
    return "chat" if kind == "chat" else "share"


Part = Annotated[Annotated[Share, Tag("share")] | Annotated[Chat, Tag("chat")], Discriminator(_kind)]


def _fewer(some: Some | None, most: int | None) -> Some | None:
    """What is meant of the first `most`, where there is such a limit."""
    if most is None or some is None:
        return some if most is None else most
    return (some[0], min(some[1], most)) if isinstance(some, tuple) else min(some, most)


class Stage(Training):
    """One stage of training: its documents (`mix`, or those of other stages together: `of`) and how they are trained on.

    With `method: grpo` or `dpo` the documents' prompts are what answers are drawn for, their completions serve to verify them
    only, and `grpo` or `dpo` holds the dials, spelled out in the resolved recipe. A stage of SFT resolves as if there were no such keys.

    templates: phrasings of this stage's documents, where they are not the recipe's. exposures: multiplies `per_program` throughout.
    programs: by group, how many of its programs (the first ones) the stage shows. The last two hold for the stages in `of` too, whose documents
    are then drawn anew. represent: the representation of all of them, where it is not what the parts of the mix say. wrong: w/o IO programs are
    declared under permuted names.

    How it is trained is said as in `pbb.training.dials`. bf16: matrix products in bfloat16, chosen by the CPU where it is not said (see
    `pbb.models.load.autocast_pays`).
    """

    mix: list[Part] = Field(default_factory=list)
    of: list[str] = Field(default_factory=list)
    templates: Phrasings | None = Field(None, exclude_if=lambda phrasings: phrasings is None)
    exposures: float = Field(1, gt=0, le=MOST, exclude_if=lambda factor: factor == 1)
    programs: dict[Group, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, exclude_if=lambda counts: not counts
    )
    represent: Representation | None = Field(None, exclude_if=lambda form: form is None)
    wrong: bool = Field(False, exclude_if=lambda on: not on)
    method: Literal["sft", "grpo", "dpo"] = Field("sft", exclude_if=lambda method: method == "sft")
    grpo: Grpo | None = Field(None, exclude_if=lambda dials: dials is None)
    dpo: Dpo | None = Field(None, exclude_if=lambda dials: dials is None)
    bf16: bool | None = Field(None, exclude_if=lambda on: on is None)

    @property
    def drawn(self) -> bool:
        """Whether its documents are drawn for it, rather than those of other stages joined."""
        return bool(self.mix or self.programs or self.represent or self.wrong) or self.exposures != 1

    def changed(self, part: Share | Chat) -> Share | Chat:
        """A part of a mix with this stage's exposures, representation and permuted names, and of no more programs than it shows."""
        if isinstance(part, Chat):
            return part
        return part.model_copy(
            update={
                "per_program": part.per_program * self.exposures,
                "programs": _fewer(part.programs, self.programs.get(part.group)),
                "represent": self.represent or part.represent,
                "wrong": part.wrong or self.wrong and part.permutable,
            }
        )

    @model_validator(mode="after")
    def _passes(self) -> Stage:
        if self.lora and self.optimizer == "muon":
            raise ValueError("lora: adapters are trained by adamw: give optimizer: adamw")
        if self.batch_size % self.accumulate:
            raise ValueError("accumulate: must divide batch_size, which stays the documents of an update")
        if self.method != "sft" and (self.bf16 or self.packing or self.accumulate > 1):
            raise ValueError("bf16, packing and accumulate are for stages of SFT: take them out")
        return self

    @model_validator(mode="after")
    def _reinforced(self) -> Stage:
        for method in ("grpo", "dpo"):
            if self.method != method and getattr(self, method) is not None:
                raise ValueError(f"{method}: these dials are for a stage with method: {method}")
        if self.method == "dpo":
            self.dpo = self.dpo or Dpo()
        if self.method == "grpo":
            if self.batch_size != BATCH:
                raise ValueError(
                    "batch_size: a step of GRPO is grpo.prompts_per_step x grpo.group_size: take the key away (null)"
                )
            self.grpo = self.grpo or Grpo()
        return self


class Arm(Strict):
    """A chain of stages, trained one after the other from the model; none is the untrained model.

    represent: how it is asked, in recitals and with the program in the prompt, where that is not the recipe's way.
    model: what it starts from, where that is not the recipe's model. programs: by group, which of its programs it is asked about, where that is not
    those that its stages show.
    """

    stages: list[str] = Field(default_factory=list)
    about: str = ""
    model: Model | None = Field(None, exclude_if=lambda name: name is None)
    represent: Representation | None = Field(None, exclude_if=lambda form: form is None)
    programs: dict[Group, Some] = Field(default_factory=dict, exclude_if=lambda some: not some)
