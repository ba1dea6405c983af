"""A recipe's file: how one is found, laid over another, sized for a model, overridden and checked.

A recipe is YAML. `extends:` lays the file over another recipe, one that is shipped or a file named from the extending file's folder, where
null takes a key away. `models:` holds, by model name, the changes that size the same recipe for another model: those of `llm`, else of `smollm2`,
are for every other pretrained LLM, those of `base` for every other small model. A stage may be `like:` another one, with changes. Order of
precedence: the extended recipe with its changes for the model (of the file, `--model` or `--set model=`), the file, its changes for the model,
`--set key=value`, where null takes a key away too; stages that are like others follow these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pbb.errors import PbbError
from pbb.models.place import local, small
from pbb.recipe import Recipe
from pbb.recipe_layers import has, lay, never_there, put, put_there, spell_out, unshared

LONGEST = 1_000
"""Characters of a recipe's name or path."""
MOST_SEEDS = 10_000
NULLS = ("null", "~")


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once in a mapping, of two the plain loader drops the first without a word, and whole numbers are decimal, as in
    YAML 1.2: 010 is 8 for the plain loader, and 1:30 is 90."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice: take one of them out", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


WHOLE = "tag:yaml.org,2002:int"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag != WHOLE]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(WHOLE, re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))


def read_yaml(text: str) -> Any:
    """The plain data that YAML says, as files, `--set` and `--over` take it; ValueError, of one line, where it is none that a recipe may hold."""
    try:
        return unshared(yaml.load(text, _Loader))
    except (yaml.YAMLError, ValueError, RecursionError) as e:  # ValueError: the 31st of February
        raise ValueError(" ".join(str(e).split())[:300]) from e


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
        nothing = item.partition("=")[2].strip().lower() in NULLS
        if nothing and keys == ["model"]:
            raise PbbError(f"--set {item}: expected a name")
        if nothing and keys[0] in ("stages", "arms") and len(keys) == 2 and not has(data, keys):
            known = ", ".join(map(str, data.get(keys[0]) or {}))
            raise PbbError(f"--set {item}: there is nothing to take away: {keys[0]} are {known}")
        if nothing and has(data, keys):
            gone: dict[str, Any] = {keys[-1]: None}
            for key in reversed(keys[:-1]):
                gone = {key: gone}
            lay(data, gone)
        else:
            put(data, keys, value, item)
    spell_out(path, data.get("stages"))
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
        if loc == ("name",) and first["type"] == "string_pattern_mismatch":
            hint = f"{data['name']!r}, which is the file's unless it gives one, names a folder: give a name of letters, digits, '.', '_' and '-'"
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
    there = put_there([data for _, whole in files for data in (whole, *_sizes(whole).values())])
    for path, data in reversed(files):
        sizes = data.pop("models", None) or {}
        if not isinstance(sizes, dict):
            raise PbbError(f"recipe: {path}: models: expected model names with the changes for each")
        laid.pop("name", None)
        for where, change in (("", data), *((f"models.{kind}.", size) for kind, size in sizes.items())):
            if isinstance(change, dict) and (gone := never_there(change, there)):
                raise PbbError(
                    f"recipe: {path}: {where}{gone}: null takes away what is there, and there is no such key"
                )
        if path == files[-1][0]:
            laid = data
        else:
            lay(laid, data)
        kind = next((kind for kind in kinds if kind in sizes), None)
        if kind is not None:
            size = sizes[kind]
            if not isinstance(size, dict | None):
                raise PbbError(f"recipe: {path}: models.{kind}: expected a mapping of changes")
            lay(laid, size or {})
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
        return key.split("."), read_yaml(value), item
    except ValueError as e:
        raise PbbError(f"--set {item[:80]}: the value is not YAML: {e}") from e


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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise PbbError(f"cannot read recipe: {path}: {e}") from e
    try:
        data = read_yaml(text)
    except ValueError as e:
        raise PbbError(f"recipe is not YAML: {path}: {e}") from e
    if not isinstance(data, dict):
        raise PbbError(f"recipe: {path}: expected a mapping of keys such as data, stages and arms")
    base = data.pop("extends", None)
    if base is None:
        return [(path, data)]
    if not isinstance(base, str):
        raise PbbError(f"recipe: {path}: extends: {base!r}: expected the name of another recipe")
    return [(path, data), *_files(base, (*asked_by, path))]
