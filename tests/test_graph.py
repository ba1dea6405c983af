"""Steps are named by all that they depend on, and the order and the time left follow from their graph."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbb import graph
from pbb.graph import Step, critical_seconds, doing, ordered, seconds_left, source_digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
CONFIGS = st.dictionaries(st.text(), JSON, max_size=4)


def step(
    label: str = "a", parents: dict[str, Step] | None = None, seconds: float = 1.0, cores: int = 1
) -> Step:
    return Step(
        "train", label, {"name": label}, parents or {}, "pbb.errors:f", cores=cores, expected_seconds=seconds
    )


@given(CONFIGS)
def test_hash_ignores_the_order_of_keys(config: dict[str, object]) -> None:
    backwards = dict(reversed(list(config.items())))
    assert (
        Step("k", "a", config, {}, "pbb.errors:f").hash == Step("k", "b", backwards, {}, "pbb.errors:f").hash
    )


@given(CONFIGS, CONFIGS)
def test_hash_tells_configurations_apart(one: dict[str, object], other: dict[str, object]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (
        Step("k", "a", one, {}, "pbb.errors:f").hash == Step("k", "a", other, {}, "pbb.errors:f").hash
    ) == same


def test_hash_depends_on_everything_but_label_and_hints() -> None:
    base = Step("train", "a", {"n": 1}, {"data": step()}, "pbb.errors:f", ("pbb.errors",))
    assert (
        base.hash
        == Step("train", "z", {"n": 1}, {"data": step()}, "pbb.errors:f", ("pbb.errors",), 4, 99.0).hash
    )
    others = [
        Step("score", "a", {"n": 1}, {"data": step()}, "pbb.errors:f", ("pbb.errors",)),
        Step("train", "a", {"n": 2}, {"data": step()}, "pbb.errors:f", ("pbb.errors",)),
        Step("train", "a", {"n": 1}, {"data": step("b")}, "pbb.errors:f", ("pbb.errors",)),
        Step("train", "a", {"n": 1}, {"other": step()}, "pbb.errors:f", ("pbb.errors",)),
        Step("train", "a", {"n": 1}, {"data": step()}, "pbb.errors:g", ("pbb.errors",)),
        Step("train", "a", {"n": 1}, {"data": step()}, "pbb.errors:f", ("pbb.graph",)),
        Step("train", "a", {"n": 1}, {"data": step()}, "pbb.errors:f", ("pbb.errors", "pbb.graph")),
        Step("train", "a", {"n": 1}, {"data": step()}, "pbb.errors:f", ("pbb.errors", "pbb.ranks")),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 9


def test_hash_is_the_same_in_another_process(python: Callable[..., str]) -> None:
    made = "Step('k', 'a', {'b': 1, 'a': [2.5]}, {}, 'pbb.errors:f', ('pbb.errors',))"
    code = f"from pbb.graph import Step; print({made}.hash)"
    here = Step("k", "a", {"a": [2.5], "b": 1}, {}, "pbb.errors:f", ("pbb.errors",)).hash
    assert python(code, hash_seed=1).strip() == here


@pytest.mark.parametrize("config", [{"x": float("nan")}, {"x": {1}}, {"x": Path("a")}])
def test_a_configuration_that_is_no_json_has_no_hash(config: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Step("k", "a", config, {}, "pbb.errors:f").hash  # noqa: B018


SAID = '''"""A module."""

# Above.
import os  # beside

NAME = "a # b"  # c
"""What it is."""


class Fault(Exception):
    """Alone in its body."""


def work(x):
    """Docs.

    # more
    """

    def inner():
        return (
            x  # why
            + 1
        )

    text = f"""é # {x}

    # stays
    """
    return text, inner, b"#"  # é
'''
DONE = '''import os
NAME = "a # b"
class Fault(Exception):
    ""
def work(x):
    def inner():
        return (
            x
            + 1
        )
    text = f"""é # {x}

    # stays
    """
    return text, inner, b"#"'''


def test_what_a_source_does_is_its_text_without_comments_docstrings_and_blank_lines() -> None:
    assert doing(SAID) == DONE
    assert doing(DONE) == DONE and doing("") == ""


def test_no_module_does_anything_else_without_its_words() -> None:
    def without_words(source: str) -> str:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [
                    s
                    for s in body
                    if not isinstance(getattr(s, "value", None), ast.Constant) or not isinstance(s, ast.Expr)
                ]  # type: ignore[attr-defined]
        return ast.dump(tree)

    for path in Path(graph.__file__).parent.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert without_words(doing(source)) == without_words(source)


def test_source_digest_changes_with_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package"
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    (package / "inner.py").write_text("x = 1")
    (package / "templates" / "a.yaml").write_text("a")
    monkeypatch.syspath_prepend(str(tmp_path))

    def digests() -> tuple[str, str]:
        graph.source_digest.cache_clear()
        return source_digest("some_package"), source_digest("some_package.inner")

    whole, inner = digests()
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "inner.pyc").write_text("compiled")
    assert digests() == (whole, inner)
    (package / "templates" / "a.yaml").write_text("b")
    assert digests()[0] != whole
    assert digests()[1] == inner
    other = digests()[0]
    (package / "templates" / "a.yaml").rename(package / "templates" / "b.yaml")
    assert digests()[0] != other
    (package / "inner.py").write_text("x = 2")
    assert digests()[1] != inner
    made = Step("k", "a", {}, {}, "pbb.errors:f", ("some_package",))
    assert graph.modules_needed([made]) == ["pbb.errors", "some_package", "some_package.inner"]
    made = Step("k", "a", {}, {}, "some_package.inner:f")
    assert graph.modules_needed([made]) == ["some_package.inner"]
    for missing in ("some_package.nothing", "no_such_package"):
        with pytest.raises(ModuleNotFoundError):
            source_digest(missing)


def test_ordered_brings_parents_first_and_each_hash_once() -> None:
    shared, twin = step("stage-1"), step("stage-1")
    one, other = step("a", {"start": shared}), step("b", {"start": twin})
    assert [found.label for found in ordered([other, one])] == ["stage-1", "b", "a"]


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        chosen = draw(st.lists(st.sampled_from(steps), max_size=3, unique=True)) if steps else []
        parents = {f"p{index}": parent for index, parent in enumerate(chosen)}
        seconds, cores = draw(st.floats(0.1, 10)), draw(st.integers(1, 3))
        steps.append(step(str(number), parents, seconds, cores))
    return steps


@given(graphs())
def test_order_respects_every_parent(steps: list[Step]) -> None:
    order = ordered(reversed(steps))
    place = {found.hash: index for index, found in enumerate(order)}
    assert len(order) == len(steps)
    assert all(place[parent.hash] < place[found.hash] for found in order for parent in found.parents.values())


@given(graphs(), st.integers(1, 4))
def test_time_left_lies_between_the_longest_chain_and_one_after_another(
    steps: list[Step], workers: int
) -> None:
    left = {found.hash: found.expected_seconds for found in steps}
    time = seconds_left(steps, left, [], workers)
    assert max(critical_seconds(steps).values()) <= time + 1e-6
    assert time <= sum(left.values()) + 1e-6
    if workers == 1:
        assert time == pytest.approx(sum(left.values()))


@pytest.mark.parametrize("seconds", [(10.0, 2.0), (2.0, 10.0)])
def test_of_several_chains_that_wait_for_a_step_the_longest_counts(seconds: tuple[float, float]) -> None:
    top = step("top")
    assert critical_seconds([step(str(s), {"x": top}, s) for s in seconds])[top.hash] == 11


def test_time_left_counts_what_runs_and_skips_what_is_done() -> None:
    first = step("first", seconds=5)
    running, after = step("running", {"x": first}, 10), step("after", seconds=4)
    left = {running.hash: 3.0, after.hash: 4.0}
    assert seconds_left([first, running, after], left, [running.hash], 1) == pytest.approx(7)
    assert seconds_left([first, running, after], left, [running.hash], 2) == pytest.approx(4)
    assert seconds_left([first, running, after], {}, [], 2) == 0
