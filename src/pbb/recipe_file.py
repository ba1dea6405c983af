"""A recipe's file: how one is found, laid over another, sized for a model, overridden and checked.

A recipe is YAML. `extends:` lays the file over another recipe, one that is shipped or a file named from the extending file's folder, where
null takes a key away. `models:` holds, by model name, the changes that size the same recipe for another model: those of `llm`, else of `smollm2`,
are for every other pretrained LLM, those of `base` for every other small model. A stage may be `like:` another one, with changes. Order of
precedence: the extended recipe with its changes for the model (of the file, `--model` or `--set model=`), the file, its changes for the model,
`--set key=value`, where null takes a key away too; stages that are like others follow these.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pbb.errors import PbbError
from pbb.models.place import local, small
from pbb.recipe import Recipe

LARGEST = 100_000
"""Values that a recipe file may hold once its aliases are written out."""
LONGEST = 1_000
"""Characters of a recipe's name or path."""
MOST_SEEDS = 10_000
KEYS = {*Recipe.model_fields, "models", "extends", "lora"}


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once in a mapping: of two the plain loader drops the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice: take one of them out", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


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
    files = _files(name)
    path = files[0][0]
    changes = [_change(item) for item in overrides or []]
    said = next((data["model"] for _, data in files if "model" in data), None) or "base"
    if not isinstance(said, str):
        raise PbbError(f"recipe: {path}: model: expected a name")
    if model is None:
        model = said
    model = next((v for keys, v, _ in reversed(changes) if keys == ["model"] and isinstance(v, str)), model)
    data = _laid(files, model, chosen=model != said)
    data.setdefault("name", path.stem)
    for keys, value, item in changes:
        if item.endswith("=null") and _has(data, keys):
            gone: dict[str, Any] = {keys[-1]: None}
            for key in reversed(keys[:-1]):
                gone = {key: gone}
            _lay(data, gone)
        else:
            _set(data, keys, value, item)
    _spell_out(path, data.get("stages"))
    if (rank := data.pop("lora", None)) is not None and isinstance(data.get("stages"), dict):
        for stage in data["stages"].values():
            if isinstance(stage, dict):
                stage.setdefault("lora", rank)
    if seeds is not None:
        if said := next((item for keys, _, item in changes if keys[0] == "seeds"), None):
            raise PbbError(f"--seeds {seeds}: --set {said} says which seeds already: leave one of them out")
        if not 1 <= seeds <= MOST_SEEDS:
            raise PbbError(f"--seeds {seeds}: expected 1 to {MOST_SEEDS}")
        data["seeds"] = list(range(seeds))
    try:
        recipe = Recipe.model_validate(data)
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
        raise _refusal(path, changes, where, hint) from e
    for where in _truths(data, recipe):
        raise _refusal(
            path, changes, where, "a number is expected, and yes, no, true or false is none in YAML"
        )
    return recipe


def _laid(files: list[tuple[Path, dict[str, Any]]], model: str, chosen: bool) -> dict[str, Any]:
    """A recipe's files, the one that extends the others first, laid over each other, each followed by its own changes for the model.

    Raises:
        PbbError: `chosen`, that is by none of the files, and a pretrained LLM that none of them has sizes for: rates and exposures that suit a
            few million weights would spoil it.
    """
    kinds = (model, "base") if small(model) else (model, "llm", "smollm2")
    laid: dict[str, Any] = {}
    sized = False
    there = _put_there([data for _, whole in files for data in (whole, *_sizes(whole).values())])
    for path, data in reversed(files):
        sizes = data.pop("models", None) or {}
        if not isinstance(sizes, dict):
            raise PbbError(f"recipe: {path}: models: expected model names with the changes for each")
        laid.pop("name", None)
        for where, change in (("", data), *((f"models.{kind}.", size) for kind, size in sizes.items())):
            if isinstance(change, dict) and (gone := _never_there(change, there)):
                raise PbbError(
                    f"recipe: {path}: {where}{gone}: null takes away what is there, and there is no such key"
                )
        if path == files[-1][0]:
            laid = data
        else:
            _lay(laid, data)
        kind = next((kind for kind in kinds if kind in sizes), None)
        if kind is not None:
            size = sizes[kind]
            if not isinstance(size, dict | None):
                raise PbbError(f"recipe: {path}: models.{kind}: expected a mapping of changes")
            _lay(laid, size or {})
            sized = size is not None
    if chosen and not sized and kinds[-1] != "base":
        local(model)  # a name that is no model's is the greater fault
        raise PbbError(
            f"recipe: {files[0][0]}: no sizes for {model}: its rates are those of a small model: give {model} its own in a file "
            f"that extends {files[0][0].stem} (models: {{llm: {{stages: ...}}}}, docs/recipes.md)"
        )
    laid["model"] = model
    return laid


def _sizes(data: dict[str, Any]) -> dict[str, Any]:
    """The changes for models that are mappings; what is not is refused where it is laid."""
    sizes = data.get("models")
    return {k: v for k, v in sizes.items() if isinstance(v, dict)} if isinstance(sizes, dict) else {}


def _put_there(changes: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """The stages and the arms that any of these mappings holds."""
    return {
        (section, name)
        for data in changes
        for section in ("stages", "arms")
        if isinstance(data.get(section), dict)
        for name, value in data[section].items()
        if value is not None
    }


def _never_there(change: dict[str, Any], there: set[tuple[str, str]]) -> str | None:
    """The first stage, arm or key of a recipe that `change` takes away by null and that was nowhere put there, for no model either."""
    for section in ("stages", "arms"):
        names = change.get(section)
        for name, value in names.items() if isinstance(names, dict) else ():
            if value is None and (section, name) not in there:
                return f"{section}.{name}"
    return next((str(k) for k, v in change.items() if v is None and k not in KEYS), None)


def _refusal(path: Path, changes: list[tuple[list[str], Any, str]], where: str, hint: str) -> PbbError:
    """What is wrong at the key `where`; the last override that reaches it is to blame, not the file."""
    said = next((i for keys, _, i in reversed(changes) if where and _reaches(".".join(keys), where)), None)
    place = f"recipe: {path}" + (f": --set {said[:80]}" if said else "")
    return PbbError(f"{place}: {where + ': ' if where else ''}{hint}")


def _truths(given: Any, taken: Any, where: str = "") -> Iterator[str]:
    """The keys under which a truth value was given and has been taken for 0 or 1."""
    if isinstance(given, dict) and isinstance(taken, (dict, BaseModel)):
        named = taken if isinstance(taken, dict) else dict(taken)
        pairs = [(key, value, named[key]) for key, value in given.items() if key in named]
    elif isinstance(given, list) and isinstance(taken, (list, tuple)):
        pairs = list(zip(map(str, range(len(given))), given, taken, strict=False))
    else:
        if isinstance(given, bool) and isinstance(taken, (int, float)) and not isinstance(taken, bool):
            yield where
        return
    for key, value, other in pairs:
        yield from _truths(value, other, f"{where}.{key}" if where else str(key))


def _reaches(key: str, where: str) -> bool:
    """Whether a value set at `key` is the one at `where`, holds it or lies in it."""
    return f"{where}.".startswith(f"{key}.") or f"{key}.".startswith(f"{where}.")


def _change(item: str) -> tuple[list[str], Any, str]:
    """The keys and the value of a `key=value` override, and its text for messages."""
    key, equals, value = item.partition("=")
    if not equals or not all(key.split(".")):
        raise PbbError(f"--set {item}: expected key=value, for example data.io=500")
    if key.split(".")[0] == "models":
        raise PbbError(f"--set {item}: models is for a recipe's file: set what the model is to change itself")
    try:
        return key.split("."), _unshared(yaml.load(value, _Loader)), item
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise PbbError(f"--set {item[:80]}: the value is not YAML: {' '.join(str(e).split())[:200]}") from e


def _files(name: str, asked_by: tuple[Path, ...] = ()) -> list[tuple[Path, dict[str, Any]]]:
    """A recipe file as plain data, then those that it `extends`, each the next; `asked_by` are the files that led here."""
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
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
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
        return [(path, data)]
    if not isinstance(base, str):
        raise PbbError(f"recipe: {path}: extends: {base!r}: expected the name of another recipe")
    return [(path, data), *_files(base, (*asked_by, path))]


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


def _spell_out(path: Path, stages: Any) -> None:
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
        other = stage["like"]
        where = f"recipe: {path}: stages.{name}.like: {other!r}"
        if not isinstance(other, str) or not isinstance(stages.get(other), dict):
            raise PbbError(f"{where}: no such stage: stages are {', '.join(map(str, stages))}")
        if other in (name, *asked_by):
            raise PbbError(f"{where}: is like this stage in turn: write one of them out")
        found = copy.deepcopy(spelled(other, (*asked_by, name)))
        own = {key: value for key, value in stage.items() if key != "like"}
        for key, instead in (("mix", "of"), ("of", "mix")):
            if key in own:
                found.pop(instead, None)
        _merge(found, own)
        return found

    stages.update({name: spelled(name) for name in list(stages)})


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
        elif isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge(into[key], value)
        else:
            into[key] = value


def _has(data: Any, keys: list[str]) -> bool:
    """Whether there is such a nested key, through mappings alone."""
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


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
