"""What an experiment is: data, templates, stages (see `pbb.recipe_stages`), arms (chains of stages) and the evaluation.

The file it comes from, and what that may leave to others, is the matter of `pbb.recipe_file`.
"""

from __future__ import annotations

import hashlib
import json
from itertools import accumulate
from typing import Annotated, Any

from pydantic import Field, model_validator

from pbb.documents.chats import Chat
from pbb.documents.corpus import Share, Some, span
from pbb.documents.render import Representation, templates
from pbb.programs.compose import Compose
from pbb.programs.families import AnyData
from pbb.programs.grammars import Grammars
from pbb.programs.program import Group, Split
from pbb.programs.random_arithmetic import Arithmetic
from pbb.recipe_claims import Curve, Evaluation, Hypothesis, Strict
from pbb.recipe_stages import Arm, Model, Phrasings, Stage
from pbb.training.dials import MOST


class Recipe(Strict):
    """A whole experiment; see recipes/arithmetic.yaml for one with comments.

    processes: how many share out each batch of a stage of SFT, and with `fsdp` the weights too (see `--launch`).
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str
    about: str = ""
    model: Model = "base"
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(default_factory=lambda: [0], min_length=1)
    data: AnyData = Field(default_factory=Arithmetic)
    templates: Phrasings = Field(default_factory=Phrasings)
    represent: Representation = "source"
    stages: dict[str, Stage]
    arms: dict[str, Arm]
    processes: int = Field(1, ge=1, exclude_if=lambda number: number == 1)
    fsdp: bool = Field(False, exclude_if=lambda on: not on)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    hypotheses: list[Hypothesis] = Field(default_factory=list, exclude_if=lambda claims: not claims)
    curves: list[Curve] = Field(default_factory=list, exclude_if=lambda curves: not curves)

    @model_validator(mode="after")
    def _seeded(self) -> Recipe:
        if again := [seed for seed in set(self.seeds) if self.seeds.count(seed) > 1]:
            raise ValueError(f"seeds: {min(again)} is there twice: give each seed once")
        return self

    @model_validator(mode="after")
    def _shared_out(self) -> Recipe:
        if self.fsdp and self.processes == 1:
            raise ValueError("fsdp: weights are shared out over several processes: give processes too")
        for name, s in self.stages.items():
            if s.method == "sft" and s.batch_size % (s.accumulate * self.processes):
                passes = f" in {s.accumulate} passes" if s.accumulate > 1 else ""
                raise ValueError(
                    f"stages.{name}.batch_size: {s.batch_size}{passes} cannot be shared out over {self.processes} processes: "
                    f"change it, or processes"
                )
            if self.fsdp and (s.lora or s.optimizer == "muon"):
                raise ValueError(
                    f"stages.{name}: fsdp shares out full finetuning by adamw: take lora and muon out"
                )
        return self

    @model_validator(mode="after")
    def _stages_hold(self) -> Recipe:
        for name, stage in self.stages.items():
            if bool(stage.mix) == bool(stage.of):
                raise ValueError(f"stages.{name}: give either mix or of")
            if stage.of and stage.templates:
                raise ValueError(
                    f"stages.{name}.templates: the documents are those of other stages: give mix"
                )
            if len(set(stage.of)) < len(stage.of):
                raise ValueError(
                    f"stages.{name}.of: a stage twice: give exposures to see its documents more often"
                )
            for other in stage.of:
                if other not in self.stages or self.stages[other].of:
                    raise ValueError(f"stages.{name}.of: no stage {other!r} with a mix of its own")
                if stage.drawn and self.stages[other].templates != self.templates_of(name):
                    raise ValueError(
                        f"stages.{name}.of: {stage.of[0]} and {other} differ in templates, and one draws all its documents: give mix"
                    )
            if stage.method != "sft" and any(part.kind != "execution" for part in self.mix(name)):
                raise ValueError(
                    f"stages.{name}: {stage.method.upper()} verifies answers: its mix takes executions only"
                )
            for group, count in stage.programs.items():
                if count > self.size(group):
                    raise ValueError(
                        f"stages.{name}.programs.{group}: {count} of {self.size(group)}: ask for fewer, or for more programs in data"
                    )
            if stage.wrong and not any(isinstance(p, Share) and p.wrong for p in self.mix(name)):
                raise ValueError(
                    f"stages.{name}.wrong: it declares no w/o IO programs: take the key out, or the stage and its arms"
                )
            for part in stage.mix:
                self._composed(name, part)
            for part in self.mix(name):
                self._placed(name, part)
        return self

    @model_validator(mode="after")
    def _arms_hold(self) -> Recipe:
        for name, arm in self.arms.items():
            for group, some in arm.programs.items():
                if not span(some, self.size(group)):
                    raise ValueError(f"arms.{name}.programs: {group}: there are {self.size(group)}")
            for stage_name in arm.stages:
                if stage_name not in self.stages:
                    raise ValueError(
                        f"arms.{name}.stages: no stage {stage_name!r}: stages are {', '.join(self.stages)}"
                    )
            for group in self.groups():
                spans = sorted((s.start, s.stop) for s in self._spans(name, group) if s)
                ends = accumulate((end for _, end in spans), max)
                gap = any(begin > end for end, (begin, _) in zip(ends, spans[1:], strict=False))
                if group not in arm.programs and gap:
                    raise ValueError(
                        f"arms.{name}: its stages show programs of {group} that do not lie side by side, and it would be asked about "
                        f"those between as well: say which under arms.{name}.programs"
                    )
        return self

    @model_validator(mode="after")
    def _claims_hold(self) -> Recipe:
        if "constant" in self.arms:
            raise ValueError(
                "arms.constant: stands for the best constant answer in claims: give the arm another name"
            )
        for number, claim in enumerate(self.hypotheses):
            for key, name in (("arm", claim.arm), ("above", claim.above)):
                if name not in self.arms and (key, name) != ("above", "constant"):
                    raise ValueError(f"hypotheses.{number}.{key}: no arm {name!r}")
            if claim.arm == claim.above:
                raise ValueError(f"hypotheses.{number}: {claim.arm} is not above itself: name another arm")
        for curve in self.curves:
            if [c.name for c in self.curves].count(curve.name) > 1 or curve.name == "accuracy":
                raise ValueError(f"curves.{curve.name}: another figure has that name: give it one of its own")
            for arm_name in (*curve.beside, *(a for line in curve.lines.values() for a in line)):
                if arm_name is not None and arm_name not in self.arms:
                    raise ValueError(f"curves.{curve.name}: no arm {arm_name!r}")
        if not self.arms:
            raise ValueError("arms: at least one is needed")
        return self

    @model_validator(mode="after")
    def _phrasings_are_there(self) -> Recipe:
        phrasings = templates(self.data.templates)
        most, responses = len(phrasings.pointers), len(phrasings.openings)
        cuts = {"templates": self.templates} | {
            f"stages.{n}.templates": s.templates for n, s in self.stages.items()
        }
        for key, cut in cuts.items():
            if cut and (cut.prompt > most or cut.response > responses):
                raise ValueError(
                    f"{key}: there are {most} phrasings of the prompt and {responses} of the response"
                )
        if self.evaluation.phrasing is not None and self.evaluation.phrasing > most:
            raise ValueError(f"evaluation.phrasing: there are {most}")
        if self.evaluation.samples and not isinstance(self.data, Grammars):
            raise ValueError("evaluation.samples: only grammars have strings to sample: take it out")
        return self

    def _placed(self, stage: str, part: Share | Chat) -> None:
        if not isinstance(part, Share):
            return
        if not part.per_program <= MOST:
            raise ValueError(f"stages.{stage}: per_program: give at most {MOST:,}")
        for key, some, size in (
            ("programs", part.programs, self.size(part.group)),
            ("inputs", part.inputs, self.data.train_inputs),
        ):
            if isinstance(some, tuple) and not span(some, size):
                raise ValueError(f"stages.{stage}: {key}: none from place {some[0]} on, there are {size}")

    def _composed(self, stage: str, share: Share | Chat) -> None:
        if isinstance(share, Chat) or share.group not in ("io_composed", "source_only_composed"):
            return
        if self.compose is None:
            raise ValueError(f"stages.{stage}: no composites for group {share.group}: set data.compose")
        if share.kind == "declaration" and self.compose.form == "named":
            raise ValueError(f"stages.{stage}: composites that are only named have no source to declare")

    @property
    def compose(self) -> Compose | None:
        """The dials of composites, where the family has them and the recipe asks for some."""
        return getattr(self.data, "compose", None)

    def start(self, arm: str) -> str:
        """The model that an arm starts from."""
        return self.arms[arm].model or self.model

    def starts(self) -> list[str]:
        """The models that arms start from, each once."""
        return list(dict.fromkeys(map(self.start, self.arms)))

    def alone(self, start: str) -> Recipe:
        """The recipe with the arms that start from one of its models, to weigh what that model takes."""
        arms = {name: arm for name, arm in self.arms.items() if self.start(name) == start}
        return self.model_copy(update={"model": start, "arms": arms})

    def groups(self) -> list[Group]:
        """The groups of programs that are evaluated, w/o IO ones before w/ IO ones."""
        if self.compose is None:
            return ["source_only", "io"]
        return ["source_only", "io", "source_only_composed", "io_composed"]

    def size(self, group: Group) -> int:
        """How many programs a group has."""
        dials = self.compose if group.endswith("_composed") else self.data
        return getattr(dials, group.removesuffix("_composed"), 0)

    def mix(self, stage: str) -> list[Share | Chat]:
        """The parts of a stage, its own or those of the stages it is made of, as its `exposures` and `programs` change them."""
        s = self.stages[stage]
        return [
            s.changed(self.stages[other].changed(part)) for other in s.of for part in self.stages[other].mix
        ] or [s.changed(part) for part in s.mix]

    def source(self, stage: str) -> str:
        """The first stage with the very documents of this one: stages that differ in how they are trained alone share them."""
        mix, phrasings = self.mix(stage), self.templates_of(stage)
        return next(
            name
            for name, other in self.stages.items()
            if other.drawn and self.mix(name) == mix and self.templates_of(name) == phrasings
        )

    def templates_of(self, stage: str) -> Phrasings | None:
        """How many phrasings a stage's documents are drawn in, its own number or that of the stages it is made of; None for the recipe's."""
        s = self.stages[stage]
        return self.stages[s.of[0]].templates if s.of else s.templates

    def shown(self, arm: str) -> dict[Group, Some]:
        """By group, which programs an arm is asked about, where that is not all: those that it names, else those that its stages show."""
        found: dict[Group, Some] = {}
        for group in self.groups():
            named = self.arms[arm].programs.get(group)
            spans = [span(named, self.size(group))] if named else self._spans(arm, group)
            if spans:
                first, end = min(s.start for s in spans), max(s.stop for s in spans)
                found[group] = (first, end) if first else end
        return {group: some for group, some in found.items() if some != self.size(group)}

    def _spans(self, arm: str, group: Group) -> list[range]:
        """Which places of a group the stages of an arm show, a span for each part of their mixes."""
        return [
            span(part.programs, self.size(group))
            for stage in self.arms[arm].stages
            for part in self.mix(stage)
            if isinstance(part, Share) and part.group == group
        ]

    def documents(self, stage: str) -> float:
        """How many documents a stage has, on average where shares are fractional."""
        return sum(
            part.count
            if isinstance(part, Chat)
            else part.per_program * len(span(part.programs, self.size(part.group)))
            for part in self.mix(stage)
        )

    def executed(self, arm: str) -> int:
        """How many different calls the stages of an arm execute, at most: as many of each program as there are documents, or calls."""
        parts = [part for stage in self.arms[arm].stages for part in self.mix(stage)]
        shares = [part for part in parts if isinstance(part, Share) and part.kind == "execution"]
        total = 0.0
        for group in self.groups():
            of_group = [share for share in shares if share.group == group]
            for place in range(self.size(group)):
                showing = [s for s in of_group if place in span(s.programs, self.size(group))]
                calls = {i for s in showing for i in span(s.inputs, self.data.train_inputs)}
                total += min(len(calls), sum(s.per_program for s in showing))
        return round(total)

    def wrong(self, arm: str) -> bool:
        """Whether the arm is taught permuted sources, so that answers are judged against the planted programs too."""
        parts = [part for stage in self.arms[arm].stages for part in self.mix(stage)]
        return any(isinstance(part, Share) and part.wrong for part in parts)

    def questions(self, arm: str) -> int:
        """How many answers an evaluation has of an arm: one to each question, and those that are sampled."""
        e, shown = self.evaluation, self.shown(arm)
        drawn = e.sampled.samples if e.sampled else 0
        ways = sum(
            min(e.direct_calls if ask.endswith("direct") else e.calls, self.data.test_inputs)
            for ask in e.asks
            if ask != "recall"
        )
        total = 0
        for group in self.groups():
            count = len(span(shown.get(group), self.size(group)))
            count = min(count, e.io_programs) if group.startswith("io") else count
            each = len(self.splits(group)) + (drawn if group.startswith("source_only") else 0)
            total += count * (ways * each + ("recall" in e.asks))
        return total

    def asked(self) -> int:
        """How many held-out calls of a program are asked in every way."""
        return min(self.evaluation.calls, self.evaluation.direct_calls)

    def splits(self, group: Group) -> list[Split]:
        """The splits that programs of a group are asked on."""
        return ["test", "train"] if group.startswith("io") and self.evaluation.io_train else ["test"]

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain data, everything spelled out."""
        return self.model_dump(mode="json")

    def hash(self) -> str:
        """12 hexadecimal digits of the resolved recipe."""
        return hashlib.sha256(json.dumps(self.resolved(), sort_keys=True).encode()).hexdigest()[:12]
