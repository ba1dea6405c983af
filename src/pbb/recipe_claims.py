"""What a recipe asks of its arms, what it claims of them beforehand, and what it draws of them.

Contract: these are values; what they mean is the matter of `pbb.evaluation` and `pbb.report`, and whether the arms that they name exist that of
`pbb.recipe`.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pbb.programs.program import Group

Way = Literal["direct", "trace", "recite", "in-context-direct", "in-context-trace", "recall"]
WAYS: tuple[Way, ...] = get_args(Way)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Curve(Strict):
    """A figure of the report: accuracy against a dial that arms differ in.

    below: what the dial counts. at: its settings, in order. lines: by label, the arm at each setting, null where there is none. beside: arms
    that have no place on the dial, drawn as levels. group: whose answers are drawn, one figure for each group if it is not said;
    beside_group: whose answers the levels are, if not the same group's. break_even: the level of which it is told where each line reaches it
    (see evaluation/break_even.py).
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    title: str
    below: str
    at: list[float | str] = Field(min_length=2)
    lines: dict[str, list[str | None]] = Field(min_length=1, max_length=6)
    beside: list[str] = Field(default_factory=list, max_length=4)
    group: Group | None = Field(None, exclude_if=lambda group: group is None)
    beside_group: Group | None = Field(None, exclude_if=lambda group: group is None)
    break_even: str | None = Field(None, exclude_if=lambda arm: arm is None)

    @model_validator(mode="after")
    def _complete(self) -> Curve:
        if self.break_even is not None:
            if self.break_even not in self.beside or self.group is None:
                raise ValueError("break_even: give one of the arms in beside, and the group of the lines")
            numbers = [at for at in self.at if not isinstance(at, str)]
            if numbers != sorted(numbers) or len(numbers) < len(self.at) or numbers[0] < 0:
                raise ValueError("break_even: at must be numbers from 0, rising")
        for label, arms in self.lines.items():
            if len(arms) != len(self.at):
                raise ValueError(f"lines.{label}: give an arm for each of the {len(self.at)} settings in at")
        return self


class Hypothesis(Strict):
    """What the recipe claims before the run: `arm` is right more often than `above` on held-out inputs (see evaluation/hypotheses.py).

    above: another arm, or `constant`, the best constant answer of each program.
    """

    says: str
    arm: str
    above: str
    ask: Way
    group: Group = "source_only"
    alpha: float = Field(0.05, gt=0, lt=1)

    @model_validator(mode="after")
    def _decidable(self) -> Hypothesis:
        if self.ask == "recall":
            raise ValueError("ask: recall has no inputs to hold out: choose a way of running programs")
        return self


class Sampled(Strict):
    """How many answers are drawn of a question beside the greedy one, and at what temperature."""

    samples: int = Field(ge=1)
    temperature: float = Field(1.0, ge=0.01, le=10)


class Evaluation(Strict):
    """What every arm is asked: ways of asking, calls a program, how many w/ IO programs, and whether on train inputs too.

    Where there are composites, `io_programs` counts those w/ IO, and their parts are the w/ IO programs that are asked.

    Direct answers cost next to nothing, so `direct_calls` may be more than `calls`: the best constant answer, against which
    they must be held, is flattered by few calls. `phrasing` asks all in the prompts' phrasing of that number, from 1, in place of
    one drawn from the recipe's `templates`: one that was not trained on tells what augmentation is for. `samples` asks that often,
    at temperature 1, for any string of each grammar (for the family grammars, whose phrasings can ask so). `sampled` draws answers
    to the questions about w/o IO programs on held-out inputs, for pass@k. `vllm`: by vLLM, on a GPU, in bfloat16; not by our decoder.
    """

    asks: list[Way] = Field(default=list(WAYS), min_length=1)
    calls: int = Field(5, ge=1)
    direct_calls: int = Field(10, ge=1)
    io_programs: int = Field(100, ge=0)
    io_train: bool = True
    phrasing: int | None = Field(None, ge=1, exclude_if=lambda number: number is None)
    samples: int = Field(0, ge=0, exclude_if=lambda count: count == 0)
    sampled: Sampled | None = Field(None, exclude_if=lambda drawn: drawn is None)
    vllm: bool = Field(False, exclude_if=lambda on: not on)
    batch_size: int = Field(256, ge=1)

    @model_validator(mode="after")
    def _drawn(self) -> Evaluation:
        if again := [ask for ask in WAYS if self.asks.count(ask) > 1]:
            raise ValueError(f"asks: {again[0]} is there twice: give each way once")
        if self.sampled and set(self.asks) == {"recall"}:
            raise ValueError("sampled: recall has no value to be right about: give another way of asking too")
        return self
