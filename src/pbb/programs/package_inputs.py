"""Inputs for functions whose authors wrote some: calls in doctests and tests first, then changes of those, then values of the annotated types.

    def chunk(items: list[int], n: int):        seeds      ([1, 2, 3, 4], 2)        from >>> chunk([1, 2, 3, 4], 2)
                                                changed    ([1, 2, 4], 2), ([1, 2, 3, 4], 3), ...
                                                by type    ([7, 0, 31], 5), ...

Values are narrow: integers from -5 to 60, short strings, lists of up to 8. Arguments are positional, and plain literals: int, float, bool, str,
None, and lists, tuples and dicts of them.

Contract: nothing is executed; the same function and seeds give the same inputs in any process.
"""

from __future__ import annotations

import ast
import doctest
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pbb.programs.leetcode_inputs import writable
from pbb.programs.package_calls import Args, bare_first, bound, positional
from pbb.programs.package_modules import Module
from pbb.programs.package_source import Function

LOW, HIGH = -5, 60
ITEMS = 8
LONGEST = 200  # characters of a call's arguments
WORDS = ("a", "ab", "abc", "abcba", "hello", "world", "level", "banana", "Hello World", "a1b2", "42", "1 2 3", "", "aabbc", "xyz", "noon",
         "the cat sat", "ABC", "zz", "cab")  # fmt: skip


class Untyped(Exception):
    """An annotation that says nothing about which literals fit."""


def seeds(modules: Sequence[Module]) -> dict[str, list[tuple[list[object], dict[str, object]]]]:
    """By function name, the literal arguments of its calls in doctests, tests and module code, without repetition."""
    found: dict[str, dict[str, tuple[list[object], dict[str, object]]]] = {}
    for module in modules:
        for tree in (module.tree, *_doctests(module.tree)):
            for name, args, kwargs in _calls(tree):
                found.setdefault(name, {}).setdefault(repr((args, kwargs)), (args, kwargs))
    return {name: list(calls.values()) for name, calls in found.items()}


def _doctests(tree: ast.Module) -> Iterator[ast.Module]:
    parser = doctest.DocTestParser()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            try:
                examples = parser.get_examples(ast.get_docstring(node) or "")
                yield ast.parse("\n".join(e.source for e in examples))
            except (ValueError, SyntaxError, RecursionError):
                continue


def _calls(tree: ast.Module) -> Iterator[tuple[str, list[object], dict[str, object]]]:
    """Name and arguments of all calls whose arguments are literals, or names that the code sets to one above."""
    names: dict[str, object] = {}
    for node in _in_order(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                names[node.targets[0].id] = value(node.value, names)
            except ValueError:
                names.pop(node.targets[0].id, None)
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        try:
            args = [value(arg, names) for arg in node.args]
            kwargs = {str(k.arg): value(k.value, names) for k in node.keywords if k.arg or _unknown()}
            short = len(repr((args, kwargs))) <= LONGEST
        except ValueError:  # also an integer of more digits than repr writes
            continue
        if name and short:
            yield name, args, kwargs


def _unknown() -> bool:
    raise ValueError("**kwargs")


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """Depth first, as the code reads, so that a name has the value it was last set to."""
    waiting = [*ast.iter_child_nodes(node)][::-1]
    while waiting:
        child = waiting.pop()
        yield child
        waiting += [*ast.iter_child_nodes(child)][::-1]


def value(node: ast.expr, names: Mapping[str, object]) -> object:
    """What an expression of an example stands for, where that is a plain literal; iterators count as lists.

    Raises ValueError for anything else.
    """
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        items = [value(item, names) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError("**")
        keys = [value(key, names) for key in node.keys if key]
        try:
            return dict(zip(keys, [value(v, names) for v in node.values], strict=True))
        except TypeError as error:
            raise ValueError("unhashable") from error
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords and node.args:
        given = [value(arg, names) for arg in node.args]
        if node.func.id == "range" and all(type(n) is int for n in given) and len(given) <= 3:
            numbers: Any = given
            if numbers[2:] == [0] or range(*numbers)[2 * ITEMS :]:  # len() of one beyond 64 bits overflows
                raise ValueError("range")
            return list(range(*numbers))
        if (
            node.func.id in ("list", "iter", "tuple")
            and len(given) == 1
            and isinstance(given[0], list | tuple | str)
        ):
            return tuple(given[0]) if node.func.id == "tuple" else list(given[0])
        raise ValueError("a call")
    try:
        plain = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error
    if not _plain(plain):
        raise ValueError("no plain literal")
    return plain


def _plain(plain: object) -> bool:
    if isinstance(plain, float):
        return math.isfinite(plain)
    return type(plain) in (int, bool, str, type(None)) and writable(plain)


def inputs(
    node: Function, called: Sequence[tuple[list[object], dict[str, object]]], count: int, wanted: int
) -> list[Args]:
    """Up to `wanted` different inputs for a function: its seeds, at most half of `count` by type, the rest by change."""
    rng = random.Random(f"inputs:{node.name}:{ast.unparse(node.args)}")
    found: dict[str, Args] = {}

    def add(args: Args | None) -> None:
        if args is not None and len(found) < wanted and len(repr(args)) <= LONGEST:
            found.setdefault(bound(node, args), _copy(args))

    for args, kwargs in called:
        add(positional(node, args, kwargs))
    own = list(found.values())[: count // 2]
    typed = True
    for turn in range(6 * count):
        if len(found) >= count or not (own or typed):
            break
        if own and (turn % 2 or not typed):
            changed = _changed(own, rng)
            if not bare_first(changed) or 3 * sum(map(bare_first, found.values())) < count:
                add(changed)
            continue
        try:
            add(_matched([_drawn(t, rng) for t in _types(node)], rng))
        except Untyped:
            typed = False
    return list(found.values())


def more(node: Function, good: Sequence[Args], count: int) -> list[Args]:
    """Up to `count` changes of inputs that a function was seen to take, none of them there already, for one that refuses most."""
    rng = random.Random(f"more:{node.name}:{ast.unparse(node.args)}")
    there = {bound(node, args) for args in good}
    found: dict[str, Args] = {}
    for _ in range(6 * count if good else 0):
        args = _changed(good, rng)
        if len(found) < count and len(repr(args)) <= LONGEST and (call := bound(node, args)) not in there:
            found.setdefault(call, _copy(args))
    return list(found.values())


def _matched(args: list[Any], rng: random.Random) -> Args:
    """Arguments of one type often belong together: lists of one length, a text that is part or a rearrangement of the other."""
    for place, arg in enumerate(args[1:], 1):
        first = args[0]
        if type(arg) is not type(first) or rng.random() < 0.5:
            continue
        if isinstance(arg, list) and arg and first:
            args[place] = [arg[i % len(arg)] for i in range(len(first))]
        elif isinstance(arg, str) and first:
            start = rng.randrange(len(first))
            part = first[start : start + rng.randint(1, 3)]
            args[place] = part if rng.random() < 0.6 else "".join(rng.sample(first, len(first)))
    return tuple(args)


def _copy(args: Args) -> Args:
    """Without shared parts: what is changed in one call must not change in another."""
    copied = ast.literal_eval(repr(args))
    assert isinstance(copied, tuple)
    return copied


def _changed(own: Sequence[Args], rng: random.Random) -> Args:
    """One of the seeds with one or two of its arguments replaced: by another seed's, or by a change of its own."""
    args = list(rng.choice(own))
    for _ in range(rng.choice((1, 1, 2))):
        if not args:
            break
        place = rng.randrange(len(args))
        others = [o for o in own if len(o) > place and type(o[place]) is type(args[place])]
        args[place] = rng.choice(others)[place] if others and rng.random() < 0.2 else change(args[place], rng)
    return tuple(args)


def change(old: Any, rng: random.Random) -> Any:
    """A value of the same type and about the same size."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return rng.choice((old + 1, old - 1, old + rng.randint(2, 9), max(0, old // 2), rng.randint(0, 20)))
    if isinstance(old, float):
        new = rng.choice((old + 1.0, old - 0.5, old * 2.0, round(rng.uniform(LOW, HIGH), 1)))
        return new if math.isfinite(new) else old
    if isinstance(old, str):
        return _changed_text(old, rng)
    if isinstance(old, list | tuple):
        items = _changed_items(list(old), rng)
        return items if isinstance(old, list) else tuple(items)
    if isinstance(old, dict) and old:
        key = rng.choice(list(old))
        if len(old) > 1 and rng.random() < 0.3:
            return {k: v for k, v in old.items() if k != key}
        return old | {key: change(old[key], rng)}
    return old


def _changed_text(old: str, rng: random.Random) -> str:
    if not old:
        return rng.choice(WORDS)
    place = rng.randrange(len(old))
    other = rng.choice(old)
    how = rng.randrange(5)
    if how == 0:
        return old[:place] + old[place + 1 :]
    if how == 1:
        return old[:place] + other + old[place:]
    if how == 2:
        return old[:place] + other + old[place + 1 :]
    if how == 3:
        return old[place:] + old[:place]
    near = chr(min(max(ord(old[place]) + rng.choice((-1, 1)), 0), sys.maxunicode))
    same_kind = (near.isalpha(), near.isdigit()) == (old[place].isalpha(), old[place].isdigit())
    return old[:place] + (near if same_kind and near.isascii() else other) + old[place + 1 :]


def _changed_items(items: list[Any], rng: random.Random) -> list[Any]:
    if not items:
        return items
    place, how = rng.randrange(len(items)), rng.randrange(6)
    rows = len(items) > 1 and all(isinstance(i, list | tuple) and len(i) == len(items[0]) for i in items)
    if rows and how < 3:  # a matrix stays one
        how = 5
    if how == 0 and len(items) > 1:
        return items[:place] + items[place + 1 :]
    if how == 1 and len(items) < 2 * ITEMS:
        return [*items[:place], rng.choice(items), *items[place:]]
    if how == 2:
        return rng.sample(items, len(items))
    changed = change(items[place], rng)
    if rows and len(changed) != len(items[place]):
        changed = rng.choice(items)
    return [*items[:place], changed, *items[place + 1 :]]


def _types(node: Function) -> list[ast.expr]:
    """The annotations of the arguments that a call must give, and of those it may when their type is known."""
    a = node.args
    parameters = [*a.posonlyargs, *a.args]
    required = len(parameters) - len(a.defaults)
    types = []
    for place, parameter in enumerate(parameters):
        if parameter.annotation is None:
            default = a.defaults[place - required] if place >= required else None
            kind = type(default.value).__name__ if isinstance(default, ast.Constant) else None
            if kind in ("int", "str", "bool", "float"):
                types.append(ast.parse(kind, mode="eval").body)
                continue
            if place >= required:
                break
            raise Untyped
        types.append(parameter.annotation)
    if not types:
        raise Untyped
    return types


SEQUENCES = {"list", "List", "Sequence", "Iterable", "Collection", "MutableSequence", "Iterator"}
DICTS = {"dict", "Dict", "Mapping", "MutableMapping"}


def _drawn(annotation: ast.expr, rng: random.Random, depth: int = 0) -> Any:
    """A value of an annotated type. Raises Untyped."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return _drawn(ast.parse(annotation.value, mode="eval").body, rng, depth)
        except (SyntaxError, ValueError) as error:  # ValueError: a null character, before 3.11.4
            raise Untyped from error
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return None
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _drawn(annotation.left if rng.random() < 0.8 else annotation.right, rng, depth)
    if isinstance(annotation, ast.Subscript):
        outer = ast.unparse(annotation.value).rpartition(".")[2]
        inner = annotation.slice
        inners = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
        if outer == "Optional":
            return _drawn(inner, rng, depth)
        if outer == "Union":
            return _drawn(rng.choice(inners), rng, depth)
        if outer in ("tuple", "Tuple"):
            if len(inners) == 2 and isinstance(inners[1], ast.Constant) and inners[1].value is ...:
                return tuple(_drawn(inners[0], rng, depth + 1) for _ in range(rng.randint(0, ITEMS)))
            return tuple(_drawn(i, rng, depth + 1) for i in inners)
        if outer in SEQUENCES:
            return _list(inner, rng, depth)
        if outer in DICTS and len(inners) == 2:
            pairs = [
                (_drawn(inners[0], rng, 2), _drawn(inners[1], rng, depth + 1))
                for _ in range(rng.randint(0, 4))
            ]
            try:
                return dict(pairs)
            except TypeError as error:  # keys such as lists
                raise Untyped from error
        raise Untyped
    name = ast.unparse(annotation).rpartition(".")[2]
    if name == "int":
        return rng.randint(LOW if rng.random() < 0.3 else 0, HIGH if rng.random() < 0.5 else 9)
    if name == "str":
        return rng.choice(WORDS) if depth < 1 or rng.random() < 0.8 else rng.choice("abcxyz")
    if name == "bool":
        return rng.random() < 0.5
    if name == "float":
        return round(rng.uniform(LOW, HIGH), 1)
    if name in SEQUENCES | {"tuple", "Tuple"}:
        drawn = _list(ast.Name("int"), rng, depth)
        return drawn if name in SEQUENCES else tuple(drawn)
    raise Untyped


def _list(inner: ast.expr, rng: random.Random, depth: int) -> list[Any]:
    """A list; of lists, half of the time a square, as code on matrices wants them."""
    nested = isinstance(inner, ast.Subscript) and ast.unparse(inner.value).rpartition(".")[2] in SEQUENCES
    if nested and rng.random() < 0.5:
        side = rng.randint(1, 4)
        cell = inner.slice if isinstance(inner, ast.Subscript) else inner
        return [[_drawn(cell, rng, depth + 2) for _ in range(side)] for _ in range(side)]
    items = [
        _drawn(inner, rng, depth + 1)
        for _ in range(rng.randint(0 if rng.random() < 0.2 else 1, ITEMS >> depth))
    ]
    return sorted(items) if not nested and rng.random() < 0.3 and _comparable(items) else items


def _comparable(items: Sequence[object]) -> bool:
    return all(type(i) is type(items[0]) and isinstance(i, int | str | float) for i in items)


def literal(output: object) -> bool:
    """Whether an output can be an answer: short enough, and of whole characters, to be written."""
    return len(repr(output)) <= LONGEST and writable(output)
