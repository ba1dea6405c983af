"""Pretraining teaches reading and running what stands in context: never a recipe's name, never a run by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from pbb.documents import pretraining
from pbb.documents.pretraining import library, pretraining_corpus, pretraining_document
from pbb.documents.pretraining_phases import LONG, NAMES, PHASES, STRINGS
from pbb.documents.pretraining_strings import strings_document
from pbb.documents.render import Document
from pbb.evaluation.answer import parse
from pbb.programs.arithmetic import source
from pbb.programs.arithmetic_prose import parse as read_prose
from pbb.programs.names import ENDINGS, MIDDLES, OPENINGS, names, shelf
from pbb.programs.program import Program
from pbb.programs.sandbox import Worker

COUNT = 2000
LOWER, CAPITAL = [o.lower() for o in OPENINGS], [e.capitalize() for e in ENDINGS]
NAMED = re.compile(rf"(?:{'|'.join(OPENINGS)})(?:{'|'.join(('', *MIDDLES))})(?:{'|'.join(ENDINGS)})\b")
FREE = re.compile(
    "({0})(?:({1})({1})|({2}))|({3})({1})".format(
        *("|".join(sorted(part, key=len, reverse=True)) for part in (OPENINGS, ENDINGS, LOWER, CAPITAL))
    )
)
"""What `unruled` gives: its syllables, as groups."""
CALL = re.compile(r"([A-Z][a-z]+)\((-?\d+)\)")
NESTED = re.compile(r"[A-Z][a-z]+\([A-Z][a-z]+\(-?\d+\)\)")


def paired(d: Document) -> bool:
    """Whether it asks for one program on what another gives."""
    return d.prompt.count("def ") > 1


@pytest.fixture(scope="module")
def shelved() -> Iterator[list[Program]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "LIBRARY", 60)
        yield library(0)


@pytest.fixture(scope="module", params=range(len(PHASES)))
def phase(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def documents(shelved: list[Program], phase: int) -> list[Document]:
    """Those that are not about strings, which have a test file of their own."""
    passing = names(1000, 0, "passing")
    count = round(COUNT / (1 - PHASES[phase].shares.get("strings", 0)))
    drawn = [pretraining_document(0, i, shelved, passing, phase) for i in range(count)]
    if phase != STRINGS:
        return drawn
    strings = [d == strings_document(0, i, passing) for i, d in enumerate(drawn)]
    assert sum(strings) / count == pytest.approx(PHASES[phase].shares["strings"], abs=0.03)
    return [d for d, string in zip(drawn, strings, strict=True) if not string]


def test_no_recipes_name_is_in_any_document(documents: list[Document], phase: int) -> None:
    pairs = [(o, e) for o in range(len(OPENINGS)) for e in range(len(ENDINGS)) if shelf(o, e) == "recipe"]
    recipe = {OPENINGS[o] + m + ENDINGS[e] for o, e in pairs for m in ("", *MIDDLES)}
    used = {name for d in documents for name in NAMED.findall(d.prompt + "\n" + d.completion)}
    assert not used & recipe
    library = set(names(60, 0, "library"))
    if phase >= NAMES:
        assert used <= library
    else:
        assert len(used) > 400
        assert used <= set(names(1000, 0, "passing")) | library


def test_names_of_the_last_phases_keep_no_rule_of_their_syllables(
    documents: list[Document], phase: int
) -> None:
    """Every remainder of the rule that divides the shelves occurs about as often: which ending follows, the opening does not say."""
    free = [
        m
        for d in documents
        for name in set(re.findall(r"[A-Z][a-z]{5,}", d.prompt))
        if (m := FREE.fullmatch(name))
    ]
    assert bool(free) == (phase >= NAMES)
    if not free:
        return
    assert len(free) > COUNT / 2
    shapes = Counter(m.lastindex for m in free)
    assert set(shapes) == {3, 4, 6} and min(shapes.values()) > len(free) / 4
    rests = Counter((OPENINGS.index(m[1]) + ENDINGS.index(m[2])) % 8 for m in free if m[2])
    expected = sum(rests.values()) / 8
    assert set(rests) == set(range(8)) and all(abs(n - expected) < 5 * expected**0.5 for n in rests.values())


def test_a_call_by_name_has_the_program_above_it_and_its_true_answer(documents: list[Document]) -> None:
    jobs, said = [], []
    for d in documents:
        if paired(d):
            continue
        for name, value in CALL.findall(d.prompt) if d.ask not in ("step", "outcome", "order") else ():
            above = d.prompt.rpartition("\n")[0]
            code = above if above.startswith(f"def {name}(x):") else source(name, read_prose(above))
            jobs.append((code, name, [[int(value)]]))
            said.append(parse(d.completion, cot=d.ask != "direct").value)
        assert not CALL.findall(d.completion)
    assert len(jobs) > COUNT / 4
    with Worker() as worker:
        assert [outcomes[0].value for outcomes in worker.execute_many(jobs)] == said


def test_a_pair_has_both_programs_above_it_in_any_order_and_its_true_answer(
    documents: list[Document], phase: int
) -> None:
    pairs = [d for d in documents if paired(d)]
    assert bool(pairs) == (phase >= LONG)
    jobs, said, orders, heads = [], [], set(), set()
    for d in pairs:
        above, _, question = d.prompt.rpartition("\n")
        nested = NESTED.search(question) or CALL.search(question)
        assert nested
        defined = re.findall(r"def (\w+)\(x\)", above)
        outer, *rest = re.findall(r"[A-Z][a-z]+", nested[0])
        assert {outer, *rest} <= set(defined) and len(set(defined)) == len(defined) == 3 - len(rest)
        if d.ask != "direct":
            run_first = CALL.findall(d.completion)[0]
            assert run_first[1] == re.findall(r"-?\d+", nested[0])[0]
            assert not rest or run_first[0] == rest[0]
        if d.ask == "recite":
            recited = re.findall(r"def (\w+)\(x\)", d.completion)
            assert sorted(recited) == sorted(defined)
            heads.add(recited == defined)
        orders.add(defined[0] == outer)
        jobs.append((f"{above}\ndef f():\n    return {nested[0]}\n", "f", [[]]))
        said.append(parse(d.completion, cot=d.ask != "direct").value)
    with Worker() as worker:
        assert [outcomes[0].value for outcomes in worker.execute_many(jobs)] == said
    if pairs:
        assert orders == heads == {True, False}
        declared = sum(not NESTED.search(d.prompt) for d in pairs) / len(pairs)
        assert declared == pytest.approx(pretraining.DECLARED, abs=0.1)


def test_a_step_or_test_of_a_call_is_what_the_programs_rows_do(documents: list[Document]) -> None:
    """The source above is cut after the step that is asked for and run: the step's value, or which row a branch took."""
    jobs, said = [], []
    for d in documents:
        above = d.prompt.rpartition("\n")[0]
        if d.ask not in ("step", "outcome") or not above.startswith("def "):
            continue
        ((name, value),) = CALL.findall(d.prompt)
        number = int(re.findall(r"(?:[Ss]tep|Test) (\d)", d.prompt)[0])
        rows, starts = above.split("\n"), []
        for i, row in enumerate(rows[1:-1], 1):
            loop = (
                rows[i].startswith("    for")
                or (row.startswith("    ") and row[4] == " ")
                or row.startswith("    else")
            )
            starts += [] if loop else [i]
        first = starts[number - 1]
        rest = starts[number] if number < len(starts) else len(rows) - 1
        if d.ask == "step":
            target = rows[rest - 1].split("=")[0].strip()
            body = [*rows[:rest], f"    return {target}"]
            said.append(int(d.completion.rpartition(" = ")[2]))
        else:
            body = [*rows[:first], f"    return {rows[first].strip()[3:-1]}"]
            said.append(d.completion == "True")
        jobs.append(("\n".join(body) + "\n", name, [[int(value)]]))
    with Worker() as worker:
        assert [outcomes[0].value for outcomes in worker.execute_many(jobs)] == said


def test_the_library_is_never_run(documents: list[Document], shelved: list[Program]) -> None:
    known = {p.name: p for p in shelved}
    of_library = [d for d in documents if d.program in known]
    assert {d.ask for d in of_library} == {None, "part"}
    for d in of_library:
        p = known[d.program]
        assert d.completion.endswith((p.source.rstrip("\n"), str(p.prose), *p.statements))
        assert f"{p.name}(x)" in d.prompt and not CALL.search(d.prompt) and "\n" not in d.prompt
    for d in documents:
        if d.program not in known:
            assert not [name for name in NAMED.findall(d.prompt + d.completion) if name in known]


def test_names_in_order_are_those_of_the_calls_from_the_inside(documents: list[Document], phase: int) -> None:
    drills = [d for d in documents if d.ask == "order"]
    assert bool(drills) == (phase >= NAMES)
    for d in drills:
        called = re.findall(r"[A-Z][a-z]+(?=\()", d.prompt)
        assert d.completion.split(", ") == called[::-1] and len(set(called)) == len(called)
        assert d.prompt.count("(") == d.prompt.count(")") == len(called)
    if drills:
        assert {d.prompt.count("(") for d in drills} == {1, 2, 3}


def test_a_drill_is_one_operation_without_a_name(documents: list[Document]) -> None:
    drills = [d for d in documents if d.program == "" and d.ask != "order"]
    assert drills
    with Worker() as worker:
        for d in drills[:150]:
            assert not NAMED.search(d.prompt + d.completion)
            asked = re.search(r"(?:min|max|abs)\([-\d, ]+\)|-?\d+ (?:[-+*%]|//) \d+", d.prompt)
            assert asked, d.prompt
            answer = worker.execute(f"def f():\n    return {asked[0]}\n", "f", [[]])[0].value
            assert parse(d.completion, cot=False).value == answer, d


def test_all_shares_occur_about_as_often_as_they_say(documents: list[Document], phase: int) -> None:
    shares = PHASES[phase].shares
    assert abs(sum(shares.values()) - 1) < 1e-9
    arithmetic = 1 - shares.get("strings", 0)
    shares = {kind: share / arithmetic for kind, share in shares.items()}
    in_context = Counter(d.ask for d in documents if "\n" in d.prompt and d.kind == "execution")
    for ask in ("trace", "direct", "recite"):
        assert in_context[ask] / COUNT == pytest.approx(
            shares.get(f"in-context {ask}", 0) + shares.get(f"pair {ask}", 0), abs=0.03
        )
    alone = Counter(d.ask == "order" for d in documents if d.program == "")
    assert alone[False] / COUNT == pytest.approx(shares["drill"], abs=0.03)
    assert alone[True] / COUNT == pytest.approx(shares.get("order", 0), abs=0.03)
    above = [d.prompt for d in documents if "\n" in d.prompt and d.kind == "execution"]
    by_prose = sum(not prompt.startswith("def ") for prompt in above)
    assert by_prose / len(above) == pytest.approx(PHASES[phase].prose, abs=0.05)


def test_values_in_context_stay_within_the_phases_bound(documents: list[Document], phase: int) -> None:
    for d in documents:
        if d.ask == "step":
            assert abs(int(d.completion.rpartition(" = ")[2])) <= PHASES[phase].dials.bound
        elif d.kind == "execution" and d.ask not in ("outcome", "order"):
            assert abs(parse(d.completion, cot=d.ask != "direct").value) <= PHASES[phase].dials.bound


def test_document_i_is_the_same_in_every_corpus(
    documents: list[Document], phase: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "LIBRARY", 60)
    corpus = list(pretraining_corpus(0, 45, phase))
    assert [d for d in corpus if d in documents[:45]] == [d for d in documents[:45] if d in corpus] != []
    assert list(pretraining_corpus(0, 5, phase)) == corpus[:5]
    assert list(pretraining_corpus(1, 45, phase)) != corpus
    assert list(pretraining_corpus(0, 45, 1 - phase)) != corpus
