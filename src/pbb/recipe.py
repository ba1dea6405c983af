"""What an experiment is: the models of a recipe file, and how one is found, overridden and checked.

A recipe is YAML: data, templates, stages (a mix of documents and how to train on it), arms (chains of stages) and the evaluation.
`models:` holds, by model name, the changes that size the same recipe for another model; `extends:` lays a file over another recipe, one that
is shipped or a file named from the extending file's folder, where null takes a key away. Order of precedence: the extended recipe, the file,
its changes for the model (of the file, `--model` or `--set model=`), `--set key=value`.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from pbb.documents.chats import Chat
from pbb.documents.corpus import Share
from pbb.documents.render import Representation
from pbb.errors import PbbError
from pbb.programs.compose import Compose
from pbb.programs.families import AnyData
from pbb.programs.grammars import Grammars
from pbb.programs.program import Group, Split
from pbb.programs.random_arithmetic import Arithmetic
from pbb.training.rollouts import Grpo

Way = Literal["direct", "trace", "recite", "in-context-direct", "in-context-trace", "recall"]
WAYS: tuple[Way, ...] = get_args(Way)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Phrasings(Strict):
    """Augmentation: how many of the phrasings of prompts and of responses are used."""

    prompt: int = Field(20, ge=1)
    response: int = Field(20, ge=1)


BATCH = 16
LARGEST = 100_000
"""Values that a recipe file may hold once its aliases are written out."""
LONGEST = 1_000
"""Characters of a recipe's name or path."""
MOST_SEEDS = 10_000


def _kind(part: Any) -> str:
    kind = part.get("kind") if isinstance(part, dict) else getattr(part, "kind", None)
    return "chat" if kind == "chat" else "share"


Part = Annotated[Annotated[Share, Tag("share")] | Annotated[Chat, Tag("chat")], Discriminator(_kind)]


class Stage(Strict):
    """One stage of training: its documents (`mix`, or those of other stages together: `of`) and how they are trained on.

    With `method: grpo` the documents' prompts are what rollouts are drawn for, their completions serve to verify the answers
    only, and `grpo` holds the dials, spelled out in the resolved recipe. A stage of SFT resolves as if there were no such keys.

    `lora`, `bf16`, `checkpointing`, `accumulate` and `report_to` are those of `pbb.training.loop.Settings`.
    """

    mix: list[Part] = Field(default_factory=list)
    of: list[str] = Field(default_factory=list)
    method: Literal["sft", "grpo"] = Field("sft", exclude_if=lambda method: method == "sft")
    grpo: Grpo | None = Field(None, exclude_if=lambda dials: dials is None)
    batch_size: int = Field(BATCH, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    warmup: int = Field(50, ge=0)
    decay: float = Field(0.3, ge=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    lora: int | None = Field(None, ge=1, exclude_if=lambda rank: rank is None)
    bf16: bool = Field(False, exclude_if=lambda on: not on)
    checkpointing: bool = Field(False, exclude_if=lambda on: not on)
    accumulate: int = Field(1, ge=1, exclude_if=lambda passes: passes == 1)
    report_to: list[Literal["trackio", "tensorboard", "wandb"]] = Field(
        default_factory=list, exclude_if=lambda trackers: not trackers
    )

    @model_validator(mode="after")
    def _passes(self) -> Stage:
        if self.lora and self.optimizer == "muon":
            raise ValueError("lora: adapters are trained by adamw: give optimizer: adamw")
        if self.batch_size % self.accumulate:
            raise ValueError("accumulate: must divide batch_size, which stays the documents of an update")
        if self.method == "grpo" and (self.bf16 or self.accumulate > 1):
            raise ValueError("bf16 and accumulate are for stages of SFT: take them out")
        return self

    @model_validator(mode="after")
    def _reinforced(self) -> Stage:
        if self.method == "sft" and self.grpo is not None:
            raise ValueError("grpo: these dials are for a stage with method: grpo")
        if self.method == "grpo":
            if self.batch_size != BATCH:
                raise ValueError("batch_size: a step of GRPO is grpo.prompts_per_step x grpo.group_size")
            self.grpo = self.grpo or Grpo()
        return self


class Arm(Strict):
    """A chain of stages, trained one after the other from the model; none is the untrained model."""

    stages: list[str] = Field(default_factory=list)
    about: str = ""


class Curve(Strict):
    """A figure of the report: accuracy against a dial that arms differ in.

    below: what the dial counts. at: its settings, in order. lines: by label, the arm at each setting. beside: arms that have no place
    on the dial, drawn as levels.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    title: str
    below: str
    at: list[float] = Field(min_length=2)
    lines: dict[str, list[str]] = Field(min_length=1, max_length=6)
    beside: list[str] = Field(default_factory=list, max_length=4)

    @model_validator(mode="after")
    def _complete(self) -> Curve:
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


class Evaluation(Strict):
    """What every arm is asked: ways of asking, calls a program, how many w/ IO programs, and whether on train inputs too.

    Where there are composites, `io_programs` counts those w/ IO, and their parts are the w/ IO programs that are asked.

    Direct answers cost next to nothing, so `direct_calls` may be more than `calls`: the best constant answer, against which
    they must be held, is flattered by few calls. `samples` asks that often, at temperature 1, for any string of each grammar (for the
    family grammars, whose phrasings can ask so).
    """

    asks: list[Way] = Field(default=list(WAYS), min_length=1)
    calls: int = Field(5, ge=1)
    direct_calls: int = Field(10, ge=1)
    io_programs: int = Field(100, ge=0)
    io_train: bool = True
    samples: int = Field(0, ge=0, exclude_if=lambda count: count == 0)
    batch_size: int = Field(256, ge=1)


class Recipe(Strict):
    """A whole experiment; see recipes/arithmetic.yaml for one with comments."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str
    about: str = ""
    model: str = "base"
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)
    data: AnyData = Field(default_factory=Arithmetic)
    templates: Phrasings = Field(default_factory=Phrasings)
    represent: Representation = "source"
    stages: dict[str, Stage]
    arms: dict[str, Arm]
    evaluation: Evaluation = Field(default_factory=Evaluation)
    hypotheses: list[Hypothesis] = Field(default_factory=list, exclude_if=lambda claims: not claims)
    curves: list[Curve] = Field(default_factory=list, exclude_if=lambda curves: not curves)

    @model_validator(mode="after")
    def _joined(self) -> Recipe:
        for name, stage in self.stages.items():
            if bool(stage.mix) == bool(stage.of):
                raise ValueError(f"stages.{name}: give either mix or of")
            for other in stage.of:
                if other not in self.stages or self.stages[other].of:
                    raise ValueError(f"stages.{name}.of: no stage {other!r} with a mix of its own")
            if stage.method == "grpo" and any(part.kind != "execution" for part in self.mix(name)):
                raise ValueError(f"stages.{name}: GRPO verifies answers: its mix takes executions only")
            for part in stage.mix:
                self._composed(name, part)
        for name, arm in self.arms.items():
            for stage_name in arm.stages:
                if stage_name not in self.stages:
                    raise ValueError(
                        f"arms.{name}.stages: no stage {stage_name!r}: stages are {', '.join(self.stages)}"
                    )
        for number, claim in enumerate(self.hypotheses):
            for key, name in (("arm", claim.arm), ("above", claim.above)):
                if name not in self.arms and (key, name) != ("above", "constant"):
                    raise ValueError(f"hypotheses.{number}.{key}: no arm {name!r}")
        for curve in self.curves:
            for arm_name in (*curve.beside, *(a for line in curve.lines.values() for a in line)):
                if arm_name not in self.arms:
                    raise ValueError(f"curves.{curve.name}: no arm {arm_name!r}")
        if not self.arms:
            raise ValueError("arms: at least one is needed")
        if self.evaluation.samples and not isinstance(self.data, Grammars):
            raise ValueError("evaluation.samples: only grammars have strings to sample: take it out")
        return self

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
        """The parts of a stage, its own or those of the stages it is made of."""
        s = self.stages[stage]
        return s.mix or [share for other in s.of for share in self.stages[other].mix]

    def documents(self, stage: str) -> float:
        """How many documents a stage has, on average where shares are fractional."""
        return sum(
            part.count if isinstance(part, Chat) else part.per_program * self.size(part.group)
            for part in self.mix(stage)
        )

    def wrong(self, arm: str) -> bool:
        """Whether the arm is taught permuted sources, so that answers are judged against the planted programs too."""
        parts = [part for stage in self.arms[arm].stages for part in self.mix(stage)]
        return any(isinstance(part, Share) and part.wrong for part in parts)

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


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = resources.files("pbb") / "recipes"
    return {
        p.name.removesuffix(".yaml"): Path(str(p))
        for p in sorted(folder.iterdir(), key=lambda p: p.name)
        if p.name.endswith(".yaml")
    }


def load(
    name: str, overrides: list[str] | None = None, model: str | None = None, seeds: int | None = None
) -> Recipe:
    """A recipe by name or path, sized for the model, with `key=value` overrides applied.

    Raises:
        PbbError: no such recipe, no such key, or a value of the wrong type.
    """
    path, data = _read(name)
    data.setdefault("name", path.stem)
    sizes = data.pop("models", None) or {}
    if not isinstance(sizes, dict):
        raise PbbError(f"recipe: {path}: models: expected model names with the changes for each")
    changes = [_change(item) for item in overrides or []]
    if model is not None:
        data["model"] = model
    for keys, value, _ in changes:
        if keys == ["model"] and isinstance(value, str):
            data["model"] = value  # before the sizes, which are those of the model that is used in the end
    if not isinstance(data.get("model", "base"), str):
        raise PbbError(f"recipe: {path}: model: expected a name")
    size = sizes.get(data.get("model", "base")) or {}
    if not isinstance(size, dict):
        raise PbbError(f"recipe: {path}: models.{data.get('model', 'base')}: expected a mapping of changes")
    _lay(data, size)
    for keys, value, item in changes:
        _set(data, keys, value, item)
    if seeds is not None:
        if not 1 <= seeds <= MOST_SEEDS:
            raise PbbError(f"--seeds {seeds}: expected 1 to {MOST_SEEDS}")
        data["seeds"] = list(range(seeds))
    try:
        return Recipe.model_validate(data)
    except ValidationError as e:
        first = e.errors()[0]
        loc = first["loc"]
        # what follows "data" is the family, which is no key of the file
        if first["type"] == "family":
            loc = (*loc, "", "family")
        loc = tuple(part for part in loc if part not in ("share", "chat") or loc[0] != "stages")
        where = ".".join(str(part) for part in (loc[:1] + loc[2:] if loc[:1] == ("data",) else loc))
        message = first["msg"].removeprefix("Value error, ")
        hint = "no such key" if first["type"] == "extra_forbidden" else message
        raise PbbError(f"recipe: {path}: {where + ': ' if where else ''}{hint}") from e


def _change(item: str) -> tuple[list[str], Any, str]:
    """The keys and the value of a `key=value` override, and its text for messages."""
    key, equals, value = item.partition("=")
    if not equals:
        raise PbbError(f"--set {item}: expected key=value, for example data.io=500")
    try:
        return key.split("."), _unshared(yaml.safe_load(value)), item
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise PbbError(f"--set {item[:80]}: the value is not YAML: {' '.join(str(e).split())[:200]}") from e


def _read(name: str, asked_by: tuple[Path, ...] = ()) -> tuple[Path, dict[str, Any]]:
    """A recipe file as plain data, laid over the recipe that it `extends`; `asked_by` are the files that led here."""
    known = shipped()
    if len(name) > LONGEST:
        raise PbbError(
            f"recipe: {name[:40]!r}...: a name of {len(name)} characters: give the name or path of a recipe"
        )
    here = asked_by[-1].parent if asked_by else Path()
    path = known.get(name) or here / name
    if name not in known and not path.is_file():
        where = f"recipe: {asked_by[-1]}: extends: " if asked_by else ""
        beside = f" in {here}" if asked_by else ""
        raise PbbError(f"{where}no recipe {name!r}: neither a file{beside} nor one of: {', '.join(known)}")
    if any(path.resolve() == other.resolve() for other in asked_by):
        raise PbbError(f"recipe: {asked_by[-1]}: extends: {name!r} extends this file in turn: name another")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise PbbError(f"cannot read recipe: {path}: {e}") from e
    except (yaml.YAMLError, ValueError, RecursionError) as e:  # ValueError: the 31st of February
        raise PbbError(f"recipe is not YAML: {path}: {' '.join(str(e).split())[:300]}") from e
    if not isinstance(data, dict):
        raise PbbError(f"recipe: {path}: expected a mapping of keys such as data, stages and arms")
    try:
        data = _unshared(data)
    except ValueError as e:
        raise PbbError(f"recipe: {path}: {e}") from e
    base = data.pop("extends", None)
    if base is None:
        return path, data
    if not isinstance(base, str):
        raise PbbError(f"recipe: {path}: extends: {base!r}: expected the name of another recipe")
    below = _read(base, (*asked_by, path))[1]
    below.pop("name", None)
    _lay(below, data)
    return path, below


def _lay(below: dict[str, Any], changes: dict[str, Any]) -> None:
    """Changes over a recipe; what it claims and draws of arms that are taken away goes with them."""
    _merge(below, changes)
    arms = changes.get("arms")
    gone = [str(arm) for arm, value in arms.items() if value is None] if isinstance(arms, dict) else []
    if "hypotheses" not in changes and isinstance(below.get("hypotheses"), list):
        below["hypotheses"] = [
            c
            for c in below["hypotheses"]
            if not isinstance(c, dict) or {str(c.get("arm")), str(c.get("above"))}.isdisjoint(gone)
        ]
    if "curves" not in changes and isinstance(below.get("curves"), list):
        below["curves"] = [c for c in below["curves"] if not any(repr(arm) in repr(c) for arm in gone)]


def _unshared(value: Any) -> Any:
    """A copy in which what a YAML alias names stands at each of its places anew, so that one can be overridden alone.

    Raises ValueError where that makes far more of it than a recipe is, as aliases of aliases do, or an alias of what it stands in.
    """
    left = LARGEST

    def copied(value: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"its aliases make more than {LARGEST} values of it: write it without them")
        if isinstance(value, dict):
            return {key: copied(v) for key, v in value.items()}
        return [copied(v) for v in value] if isinstance(value, list) else value

    try:
        return copied(value)
    except RecursionError:
        raise ValueError("it is nested too deeply, or an alias names what it stands in") from None


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    """Deep update; a list or a value replaces what stood there, null takes it away."""
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _set(data: Any, keys: list[str], value: Any, item: str) -> None:
    """Set one nested key; a number walks into a list."""
    for key in keys[:-1]:
        if isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        elif isinstance(data, dict):
            data = data.setdefault(key, {})
        else:
            raise PbbError(f"--set {item}: there is nothing under {key!r}")
    last = keys[-1]
    if isinstance(data, list) and last.isdecimal() and int(last) < len(data):
        data[int(last)] = value
    elif isinstance(data, dict):
        data[last] = value
    else:
        raise PbbError(f"--set {item}: there is nothing under {last!r}")
