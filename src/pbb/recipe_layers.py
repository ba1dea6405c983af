"""A recipe's plain data laid over other plain data: a file over the one that it extends, sizes for a model, overrides, stages that are like others.

Null takes away what stands there, and an arm that is taken away takes with it what is claimed and drawn of it.

Contract: mappings in, mappings changed in place; what makes no recipe is for the check of the whole to refuse.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pbb.errors import PbbError
from pbb.programs.families import FAMILIES
from pbb.recipe import Recipe
from pbb.recipe_claims import Evaluation
from pbb.recipe_stages import Arm, Stage

LARGEST = 100_000
"""Values that a recipe file may hold once its aliases are written out."""
KEYS = {*Recipe.model_fields, "models", "extends", "lora"}
RANK = "lora"
"""A key whose null says more than that nothing is said: a recipe's rank for all stages doesn't reach a stage that has it."""
DIALS = {name for family in FAMILIES.values() for name in family.model_fields}


class Instead(dict[str, Any]):
    """A mapping of a stage's that takes the place of what the stage says that it is `like`, where others are merged with that."""


def lay(below: dict[str, Any], changes: dict[str, Any]) -> None:
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
    if gone and "curves" not in changes and isinstance(below.get("curves"), list):
        below["curves"] = [c for c in (_without(c, gone) for c in below["curves"]) if c]


def _without(curve: Any, gone: list[str]) -> Any:
    """A curve without the arms that are gone; None where no line of two points is left."""
    if not isinstance(curve, dict) or not isinstance(curve.get("lines"), dict):
        return curve  # for the check of the whole to refuse
    lines = {
        label: [None if arm in gone else arm for arm in arms] if isinstance(arms, list) else arms
        for label, arms in curve["lines"].items()
    }
    lines = {
        label: arms
        for label, arms in lines.items()
        if not isinstance(arms, list) or sum(arm is not None for arm in arms) > 1
    }
    beside = (
        [arm for arm in curve["beside"] if arm not in gone] if isinstance(curve.get("beside"), list) else []
    )
    left = {k: v for k, v in curve.items() if k != "break_even" or v not in gone}
    return left | {"lines": lines, "beside": beside} if lines else None


def spell_out(path: Path, stages: Any) -> None:
    """Put in place of `like: other` all that the other stage says, with the stage's own keys over it.

    Raises:
        PbbError: there is no such stage, or stages are like one another in a circle.
    """
    if not isinstance(stages, dict):
        return

    def spelled(name: str, asked_by: tuple[str, ...] = ()) -> Any:
        stage = stages[name]
        if not isinstance(stage, dict) or "like" not in stage:
            return stage
        own = {key: value for key, value in stage.items() if key != "like"}
        if (other := stage["like"]) is None:  # it was, in a file below
            return _merge({}, own)
        where = f"recipe: {path}: stages.{name}.like: {other!r}"
        if not isinstance(other, str) or not isinstance(stages.get(other), dict):
            raise PbbError(f"{where}: no such stage: stages are {', '.join(map(str, stages))}")
        if other in (name, *asked_by):
            raise PbbError(f"{where}: is like this stage in turn: write one of them out")
        found = copy.deepcopy(spelled(other, (*asked_by, name)))
        for key, instead in (("mix", "of"), ("of", "mix")):
            if key in own:
                found.pop(instead, None)
        return _merge(found, own)

    stages.update({name: spelled(name) for name in list(stages)})


def unshared(value: Any) -> Any:
    """A copy in which what a YAML alias names stands at each of its places anew, so that one can be overridden alone.

    Raises ValueError where that makes far more of it than a recipe is, as aliases of aliases do, or an alias of what it stands in.
    """
    left = LARGEST

    def copied(value: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"its aliases make more than {LARGEST} values of it: write it without them")
        if isinstance(value, str):
            return _whole(value)
        if isinstance(value, dict):
            return {key: copied(v) for key, v in value.items()}
        return [copied(v) for v in value] if isinstance(value, list) else value

    try:
        return copied(value)
    except RecursionError:
        raise ValueError("it is nested too deeply, or an alias names what it stands in") from None


def _whole(text: str) -> str:
    """A text with characters that JSON writes as two halves put together; ValueError for a half without its other."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError(f"{text[:40]!a} holds half of a character: write it whole") from None


def _merge(into: dict[str, Any], changes: dict[str, Any], like: bool = False) -> dict[str, Any]:
    """Deep update of `into`, which is returned; a list or a value replaces what stood there, null takes it away.

    Of a stage that is `like` another null takes away what the other says too, and it stays away, whatever a file above puts in its place.
    """
    like = like or "like" in into or "like" in changes
    for key, value in changes.items():
        if value is None and (like or key == RANK):
            into[key] = None
        elif value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            if isinstance(value, Instead) or not isinstance(into.get(key), dict):
                into[key] = Instead() if like and key in into else {}
            _merge(into[key], value, like)
        else:
            into[key] = value
    return into


def has(data: Any, keys: list[str]) -> bool:
    """Whether there is such a nested key, through mappings alone."""
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


def put(data: Any, keys: list[str], value: Any, item: str) -> None:
    """Set one nested key; a number walks into a list, of which null takes a mapping away."""
    if keys[0] in ("stages", "arms") and len(keys) > 2 and not has(data, keys[:2]):
        known = ", ".join(map(str, data.get(keys[0]) or {}))
        raise PbbError(f"--set {item[:80]}: no {keys[0][:-1]} {keys[1]!r}: {keys[0]} are {known}")
    if keys[0] == "stages" and keys[2:3] == ["mix"] and len(keys) > 3 and not has(data, keys[:3]):
        other = data["stages"][keys[1]].get("like") if isinstance(data["stages"][keys[1]], dict) else None
        if other:
            raise PbbError(
                f"--set {item[:80]}: {keys[1]} is like {other}: set it there, or give {keys[1]} a mix of its own"
            )
    for key in keys[:-1]:
        if isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        elif isinstance(data, dict):
            if data.get(key) is None:
                data[key] = Instead() if key in data else {}
            data = data[key]
        else:
            raise PbbError(f"--set {item}: there is nothing under {key!r}")
    last = keys[-1]
    if isinstance(data, list) and last.isdecimal() and int(last) < len(data):
        if value is None and isinstance(data[int(last)], dict):
            del data[int(last)]
        else:
            data[int(last)] = value
    elif isinstance(data, dict):
        data[last] = Instead(value) if isinstance(value, dict) else value
    else:
        raise PbbError(f"--set {item}: there is nothing under {last!r}")


def put_there(changes: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """The stages and the arms that any of these mappings holds."""
    return {
        (section, name)
        for data in changes
        for section in ("stages", "arms")
        if isinstance(data.get(section), dict)
        for name, value in data[section].items()
        if value is not None
    }


def never_there(change: dict[str, Any], there: set[tuple[str, str]]) -> str | None:
    """The first stage, arm or key of a recipe that `change` takes away by null and that was nowhere put there, for no model either."""
    for section, keys in (("stages", {*Stage.model_fields, "like"}), ("arms", {*Arm.model_fields})):
        names = change.get(section)
        for name, value in names.items() if isinstance(names, dict) else ():
            if value is None and (section, name) not in there:
                return f"{section}.{name}"
            if key := _unknown(value, keys):
                return f"{section}.{name}.{key}"
    for section, keys in (("evaluation", {*Evaluation.model_fields}), ("data", DIALS)):
        if key := _unknown(change.get(section), keys):
            return f"{section}.{key}"
    return _unknown(change, KEYS)


def _unknown(change: Any, keys: set[str]) -> str | None:
    """The first key of a mapping that is taken away by null and is none of `keys`."""
    gone = [key for key, value in change.items() if value is None] if isinstance(change, dict) else []
    return next((str(key) for key in gone if key not in keys), None)
