"""Everything that reads what others wrote, each with a strategy of inputs and a function that takes one.

An input is damaged from a good one (a shipped recipe, a program, a problem) or made of nothing. A parser passes if it takes the input or
refuses it in one line that a person can act on; any other exception, a slow answer or a large one is a fault. `tests/fuzz/test_fuzz.py`
runs a few of each, `benchmarks/fuzz.py` as many as wanted.

Ten thousand have to be affordable. So commands run in this process, their options are laid out once, and YAML is read by libyaml where not its text
is damaged but what it says ("recipe, structure"); the texts that are damaged are short, but for one in eight.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import typer
import yaml
from hypothesis import strategies as st

from pbb import cli, progress
from pbb.errors import PbbError
from pbb.recipe_file import load, shipped

Verdict = str  # "taken" or "refused"

COMMANDS = typer.main.get_command(cli.app)  # which Typer would make anew for each call
FOLDER = Path(tempfile.mkdtemp(prefix="pbb-fuzz-"))
NASTY = [
    "", "\0", "\ufeff", "{", "[", "'", '"', ":", "- ", "&a", "*a", "<<: *a", "!!python/object/apply:os.system [id]", "!!binary x", "!!set",
    "!!timestamp", "2001-01-01", "~", "null", "NaN", ".nan", ".inf", "1e999", "-0", "0x1f", "0b1", "0o7", "1_000", "true", "on", "\t", "\r",
    "\u2028", "\ud800", "%s", "{0.__class__}", "{call}", "../..", "/dev/null", "~root", "9" * 5000, "x" * 70000, "[" * 3000, "{a: " * 2000,
    "- " * 2000, "? " * 500, "\\", "\x1b[2J", "'''", "-1", "0", "1.5", "[]", "{}", "a: &a [*a]", "a: &a {b: *a}", "---\n", "...\n", "#",
]  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.sampled_from([10**30, -1, 0, 1, 2**63, float("inf"), float("nan"), -0.5, 1e-300])
    | st.text(max_size=12)
    | st.sampled_from([x for x in NASTY if "\ud800" not in x and len(x) < 100]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn, texts: list[str]) -> str:
    """One of the texts after a few cuts, insertions, repetitions and swaps."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 40)))
        match draw(st.integers(0, 4)):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + draw(st.sampled_from(NASTY)) + text[at:]
            case 2:
                text = text[:at] + text[at:end] * draw(st.integers(2, 30)) + text[end:]
            case 3:
                text = text[:at]
            case _:
                text = text[:at] + draw(st.text(max_size=5)) + text[end:]
    return text


@st.composite
def changed(draw: st.DrawFn, trees: list[Any]) -> Any:
    """One of the trees with some of its values, keys or items replaced, taken away or doubled."""
    tree = json.loads(json.dumps(draw(st.sampled_from(trees))))
    for _ in range(draw(st.integers(1, 3))):
        inner, way = tree, []
        while isinstance(inner, (dict, list)) and inner:
            key = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            way.append((inner, key))
            inner = inner[key]
            if draw(st.integers(0, 3)) == 0:
                break
        if not way:
            return draw(VALUES)
        place, key = way[-1]
        match draw(st.integers(0, 3)):
            case 0:
                del place[key]
            case 1 if isinstance(place, dict):
                place[draw(st.text(max_size=8))] = inner
            case 1:
                place.append(inner)
            case _:
                place[key] = draw(VALUES)
    return tree


def written(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def command(*arguments: str) -> Verdict:
    """`pbb` in this process: 0 or 2, and where it is 2 one line that says why."""
    shown, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(shown, encoding="utf-8")  # as strict as a real one
    with (
        mock.patch.object(cli, "app", COMMANDS),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = cli.main(list(arguments))
        out.flush()
    said = err.getvalue()
    assert code in (0, 2), (code, said)
    assert "Traceback" not in said and len(said) < 5_000, said
    if code == 2 and not shown.getvalue():
        assert said.startswith("pbb: ") and len(said.splitlines()) == 1, said
    return "refused" if code else "taken"


def refusing(read: Callable[[], object]) -> Verdict:
    """Taken, or refused by a PbbError of one line."""
    try:
        read()
    except PbbError as error:
        assert str(error) and "\n" not in str(error), error
        return "refused"
    return "taken"


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def recipe(data: bytes) -> Verdict:
    """A recipe file: shown, and where it is one its graph laid out."""
    from pbb.recipe_graph import graph

    path = written("recipe.yaml", data)
    if command("show", str(path)) == "refused":
        return "refused"
    with by_libyaml():
        return refusing(lambda: graph(load(str(path))))


def structure(tree: Any) -> Verdict:
    """What a recipe file says, whatever its text."""
    data = yaml.dump(tree, allow_unicode=True, Dumper=yaml.CSafeDumper, sort_keys=False)
    with by_libyaml():
        return recipe(data.encode("utf-8", "replace"))


def by_libyaml() -> contextlib.AbstractContextManager[object]:
    """The same constructor behind a parser that is thirty times as fast, for files that are well-formed."""
    return mock.patch.object(yaml, "safe_load", lambda text: yaml.load(text, yaml.CSafeLoader))


def programs(data: bytes) -> Verdict:
    """A programs.jsonl: checked, shown, read."""
    from pbb.programs.program import read_programs

    path = written("programs.jsonl", data)
    verdicts = [command("data", "check", str(path)), command("data", "show", str(path))]
    verdicts.append(refusing(lambda: read_programs(path)))
    return "refused" if "refused" in verdicts else "taken"


def own(data: bytes) -> Verdict:
    """A programs.jsonl as `pbb run own` takes it: a set drawn, every kind of document rendered, every question asked."""
    from pbb.documents.corpus import Share, planted, stage_documents
    from pbb.documents.render import templates
    from pbb.evaluation.ask import questions
    from pbb.programs.brought import Brought

    path = written("own.jsonl", data)

    def rendered() -> None:
        brought = Brought(path=str(path), io=2, source_only=2, train_inputs=2, test_inputs=1)
        drawn = brought.programs(0, 1, lambda *_: None)
        t = templates("python")
        mix: list[dict[str, Any]] = [
            {"kind": "declaration", "group": "source_only", "per_program": 1},
            {"kind": "declaration", "group": "source_only", "per_program": 1, "wrong": True},
            {"kind": "execution", "group": "io", "per_program": 1, "ask": "direct"},
            {"kind": "execution", "group": "io", "per_program": 1, "ask": "recite"},
            {"kind": "execution", "group": "io", "per_program": 1, "ask": "trace"},
        ]
        stage_documents(drawn, [Share.model_validate(s) for s in mix], t, stage="read", seed=0)
        planted(drawn, 0)
        questions(drawn, ["direct", "recite", "in-context-direct", "recall"], ["test"], 1, t, "source")

    return refusing(rendered)


def documents(data: bytes) -> Verdict:
    from pbb.documents.corpus import read_documents

    path = written("documents.jsonl", data)
    command("data", "show", str(path))
    return refusing(lambda: read_documents(path))


def leetcode(data: bytes) -> Verdict:
    """A LeetCode file: read, its solutions made plain functions, its inputs read; nothing is executed."""
    from pbb.programs.leetcode_inputs import parameters, read_input
    from pbb.programs.leetcode_read import read_problems, word_problem
    from pbb.programs.leetcode_unwrap import LeftOut, unwrap

    path = written("leetcode.jsonl.gz", data)

    def read() -> None:
        found, _ = read_problems(str(path))
        if not found:
            raise PbbError("no line is a problem")  # each is counted as left out
        for problem in found:
            word_problem(problem, 200)
            with contextlib.suppress(LeftOut):
                names, needed = parameters(unwrap(problem.completion, problem.method, problem.prompt))
                for given, _ in problem.pairs:
                    with contextlib.suppress(ValueError):
                        read_input(given, names, needed)

    return refusing(read)


def phrasings(tree: Any) -> Verdict:
    """The phrasings of a family: taken as such, cut, and rendered."""
    from pydantic import ValidationError

    from pbb.documents.render import Templates, pointer

    try:
        t = Templates.model_validate(tree)
    except ValidationError:
        return "refused"
    return refusing(lambda: pointer(t.cut(1, 1), random.Random(0), "f({})", "{statement}"))


def answer(pair: tuple[str, str]) -> Verdict:
    """What a model wrote: read in both ways, compared, and as a source. Never raises anything."""
    from pbb.evaluation.answer import equal, parse, same_source

    found = [parse(text, cot=cot) for text in pair for cot in (False, True)]
    for a in found:
        for lenient in (False, True):
            assert equal(a.value, found[0].value, lenient=lenient) == equal(
                found[0].value, a.value, lenient=lenient
            )
            assert equal(a.value, a.value, lenient=lenient)
    same_source(*pair)
    return "taken" if any(a.ok for a in found) else "refused"


def call(text: str) -> Verdict:
    from pbb.evaluation.inquire import read_composition

    return refusing(lambda: read_composition(text))


def arguments(words: list[str]) -> Verdict:
    """A command line; what would take minutes is not begun."""
    with idle():
        return command(*words)


def begin(*_: object, **__: object) -> None:
    raise PbbError("begun: the command line was taken: nothing is to be done")


@contextmanager
def idle() -> Iterator[None]:
    """Commands end where they would begin to work."""
    here = Path.cwd()
    os.chdir(FOLDER)
    try:
        with contextlib.ExitStack() as stack:
            for name in (
                "pbb.experiment.run_loaded", "pbb.experiment.make_data", "pbb.programs.packages.harvest",
                "pbb.programs.package_place.locate", "pbb.report.gather.write_gathered", "pbb.audit.audit",
            ):  # fmt: skip
                stack.enter_context(mock.patch(name, begin))
            # their displays would have begun: these have no mistakes of the command line to find any more
            shown = progress.watched
            stack.enter_context(
                mock.patch.object(
                    progress,
                    "watched",
                    lambda label, *rest: (
                        begin() if label in ("pretrain", "leetcode") else shown(label, *rest)
                    ),
                )
            )
            yield
    finally:
        os.chdir(here)


SHIPPED = [path.read_text(encoding="utf-8") for path in shipped().values()]
SHORT = [
    path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parents[1].glob("end_to_end/*.yaml"))
]
OWN = """\
# of one's own, over another one
extends: two_arms.yaml
title: "twice, \\u0061nd longer"
data: &data
  {io: 20, source_only: 8}
stages:
  learn: {optimizer: muon, learning_rate: 1.0e-3, decay: 0.5}
  again: &again
    mix:
      - {kind: declaration, group: io, per_program: 0.5, form: part}
    batch_size: 4
  third:
    <<: *again
    warmup: 3
arms:
  proactive: null
  longer:
    stages: [learn, read, again, third]
    about: >
      folded
      text
hypotheses:
  - {says: "reading counts", arm: longer, above: untrained, ask: recite}
models:
  smollm2: {data: *data, evaluation: {calls: 3}}
"""
SHORT.append(OWN)
(FOLDER / "two_arms.yaml").write_text(SHORT[-2], encoding="utf-8")
TREES = [yaml.safe_load(text) for text in SHIPPED + SHORT] + [load("ciphers").resolved()]


def program(number: int) -> dict[str, Any]:
    source = f"def twist{number}(x):\n    y = x * {number + 2}\n    return (y, [x]) if x > 2 else None\n"
    examples = [
        {
            "args": [x],
            "kwargs": {},
            "output": [x * (number + 2), [x]] if x > 2 else None,
            "split": split,
            "trace": [f"y = {x * (number + 2)}"],
        }
        for x, split in ((1, "train"), (4, "train"), (6, "test"), (7, "test"))
    ]
    exact = {"args": [[1, 2]], "output": [3], "exact": "([(1, 2)], {}, (3,))", "split": "train", "trace": []}
    return {
        "name": f"twist{number}", "entry": f"twist{number}", "source": source, "prose": "Twist x.", "family": "python", "group": "io",
        "statements": ["y = x"], "examples": [*examples, exact], "facts": {"length": 2, "ops": ["*"]}, "origin": {"twins": []},
    }  # fmt: skip


PROGRAMS = [program(n) for n in range(5)]
DOCUMENTS = [
    {"prompt": "Run f(1).", "completion": "2", "program": "f", "group": "io", "kind": "execution", "ask": "direct"},
    {"prompt": "What is f(x)?", "completion": "def f(x): ...", "program": "f", "group": "source_only", "kind": "declaration"},
]  # fmt: skip
PROBLEMS = [
    {
        "task_id": f"two-sum-{n}", "prompt": "from typing import *\nfrom math import inf\n", "entry_point": "Solution().twoSum",
        "completion": "class Solution:\n    def twoSum(self, nums: List[int], target: int) -> List[int]:\n        d = {}\n"
        "        for i, x in enumerate(nums):\n            if target - x in d:\n                return [d[target - x], i]\n            d[x] = i\n",
        "input_output": [{"input": "nums = [2,7], target = 9", "output": "[0, 1]"}, {"input": 'nums = [3,3], target = "6"', "output": "null"}],
        "meta": {"question_id": 1, "difficulty": "Easy", "question_title": "Given an array of integers, find two. Example 1: 3"},
    }
    for n in range(2)
]  # fmt: skip
WORDS = [
    "run", "ask", "compare", "report", "audit", "recipes", "show", "pretrain", "harvest", "data", "make", "check", "leetcode", "arithmetic",
    "--set", "--model", "--seeds", "--out", "--workers", "--threads", "--json", "--only", "--steps", "--seed", "--allow-code", "--count",
    "-n", "--help", "--version", "--", "-", "3", "-1", "0", "base", "smollm2", "owner/name", "data.io=3", "data.io.x=3",
    "stages.read.mix.0=1",
    "stages.read.mix.9.kind=a", "=", "a=", "=a", "data={}", "arms=null", "seeds=[]", "name=../x", "model=[1]", "Zibble(7)",
    "f(", ".", "no/such", "n" * 300, "n" * 5000, "²", "stages.read.mix.²=1", "data=&a [*a]", "=" * 50, "9" * 5000,
    "title=" + "[" * 3000, "seeds=&a [1, &b [*a]]",
]  # fmt: skip


def lines(records: list[Any], name: str = "") -> st.SearchStrategy[bytes]:
    """Files of JSON lines: some records damaged as values, the text as text, the bytes as bytes."""
    row = st.one_of(st.sampled_from(records), changed(records))
    whole = st.lists(row, min_size=1, max_size=5).map(lambda rows: "\n".join(json.dumps(r) for r in rows))
    good = "\n".join(json.dumps(r) for r in records)
    return st.one_of(
        st.just(good.encode()),
        whole.map(encoded),
        st.permutations(records).flatmap(
            lambda rows: changed(records).map(
                lambda c: "\n".join(json.dumps(r) for r in [*rows[1:], c]).encode()
            )
        ),
        damaged([good, *(json.dumps(r) for r in records)]).map(encoded),
        st.binary(max_size=60),
        broken(good.encode()),
    )


@st.composite
def broken(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some of them changed, and perhaps cut."""
    made = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        made[draw(st.integers(0, len(made) - 1))] = draw(st.integers(0, 255))
    return bytes(made[: draw(st.integers(0, len(made)))] if draw(st.booleans()) else made)


ANSWERS = [
    "17", "Answer: 17", "a = 7 * 2 = 14\nAnswer: (1, [2, 'x'], {'a': None})", "def f(x):\n    return x + 1\n", "\\boxed{3.5}", "#### -0", "=> inf",
    "{1: 2, True: 3}", "[[[[1]]]]", "Zibble(7) returns 17.", "'a\\'b'", "{'a', 1, None, (1,)}", "1e400", "0x1F", "set()", "{nan: nan, 1.0: 1}",
]  # fmt: skip
TEXTS = (
    damaged(ANSWERS) | st.text(max_size=60) | st.text("0123456789[](){}'\",.:-+e xnaif\\\n#*", max_size=60)
)
PHRASINGS = {
    "pointers": ["Run {call}."],
    "instructions": {"direct": ["Now."]},
    "openings": [""],
    "closings": [""],
    "tails": [""],
}
COMPRESSED = st.one_of(
    lines(PROBLEMS),
    lines(PROBLEMS).map(gzip.compress),
    broken(gzip.compress(json.dumps(PROBLEMS[0]).encode())),
)
PARSERS: dict[str, tuple[Callable[[Any], Verdict], st.SearchStrategy[Any]]] = {
    "recipe, text": (recipe, st.sampled_from([SHIPPED, *[SHORT] * 7]).flatmap(damaged).map(encoded) | st.binary(max_size=80)),
    "recipe, structure": (structure, changed(TREES)),
    "programs.jsonl": (programs, lines(PROGRAMS)),
    "programs.jsonl, to documents": (own, lines(PROGRAMS)),
    "documents.jsonl": (documents, lines(DOCUMENTS)),
    "LeetCode": (leetcode, COMPRESSED),
    "templates": (phrasings, changed([PHRASINGS])),
    "model answers": (answer, st.tuples(TEXTS, TEXTS)),
    "calls of pbb ask": (call, damaged(["Zibdax(7)", "Flurb(Zibdax([1, 'a']))", "f(-1.5, {'a': (1,)})"]) | st.text(max_size=30)),
    "command line": (arguments, st.lists(st.sampled_from(WORDS) | st.text(max_size=8), max_size=6)),
}  # fmt: skip
