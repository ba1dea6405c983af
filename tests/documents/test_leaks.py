"""The audit's leak proof on programs of a user: what honest documents of ordinary functions say is no fault, and what is planted in them is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pbb.documents.corpus import disguised
from pbb.documents.leaks import leaks, telling
from pbb.documents.render import Document, declaration, execution, pair, templates
from pbb.programs.compose import composite
from pbb.programs.program import Example, Facts, Group, Program, link

T = templates("python")
FACT = "def fact(n, acc=1):\n    if n < 0:\n        return fact(0)  # also fact(0, acc)\n    return acc if n < 2 else fact(n - 1, acc * n)\n"
SAYS = '''def says(text, n=2):
    """Says a text; as says(text), or says(text, n=3).

    Where there is no text it
    returns None
    """
    if not text:
        return says("nothing", 1)
    return text * n
'''
PLAIN = "def plain(x, y=1):\n    return x + plain(9) if x == 70 else x\n"


def program(source: str, inputs: list[Any], group: Group = "source_only", **changes: Any) -> Program:
    entry = source[4 : source.index("(")]
    examples = [
        Example(args=[x], output=[x, "given"], split="train" if i % 2 else "test")
        for i, x in enumerate(inputs)
    ]
    given = {"name": f"pkg.{entry}", "entry": entry, "source": source, "prose": f"It is {entry}."} | changes
    return Program(family="mine", group=group, examples=examples, facts=Facts(length=1), **given)


PROGRAMS = [
    program(FACT, [0, 1, 8, 9]),
    program(SAYS, ["ab", "cd", "nothing", "ef"]),
    program(PLAIN, [9, 10, 11, 12], "io"),
]


def couple(*groups: Group) -> list[Program]:
    """Zub, which adds 1, and Flurb, which adds 2, of these groups, with a trace of each call."""
    made = []
    for name, k, group in zip(("Zub", "Flurb"), (1, 2), groups, strict=True):
        p = program(f"def {name}(x):\n    a = x + {k}\n    return a\n", [7, 8, 9, 10], group, name=name)
        for e in p.examples:
            e.trace = [f"a = {e.args[0]} + {k} = {e.args[0] + k}"]
        made.append(p)
    return made


def found(*documents: Document, programs: list[Program] = PROGRAMS) -> list[str]:
    return [fault for _, fault in leaks(programs, [d.model_dump_json().encode() for d in documents])]


def declared(p: Program, more: str = "", **changes: Any) -> Document:
    d = declaration(p, T, random.Random(0))
    return d.model_copy(update={"completion": d.completion + more} | changes)


def test_ordinary_functions_are_declared_without_a_fault() -> None:
    """Their own definitions, defaults, recursion with a value, and signatures in prose are no calls that tell an answer."""
    fact, says, plain = PROGRAMS
    for p in PROGRAMS:
        for seed in range(20):
            assert (
                found(*(declaration(p, T, random.Random(seed), kind) for kind in ("source", "prose"))) == []
            )  # type: ignore[arg-type]
    assert found(declared(disguised(fact, says)), declared(disguised(says, fact))) == []
    executed = [execution(plain, e, ask, T, random.Random(1)) for e in plain.calls("train") for ask in ("direct", "recite")]  # type: ignore[arg-type] # fmt: skip
    assert found(*executed) == []


@pytest.mark.parametrize(
    ("of", "planted"),
    [
        (0, "fact(9) == 18"), (0, "# fact( 33 ) is large"), (0, "fact(0)"), (0, "fact(n=9)"), (0, "fact(9, 1)"), (0, "fact(2 * 4)"),
        (1, "says('ab')"), (1, 'm.says("zz", n=1)'), (1, "'says(\\'ab\\')'"), (1, "The answer is 'abab'"), (1, "returns None"),
        (2, "plain(9)"), (2, "plain(y=1, x=11)"), (2, "says is another"), (2, "pkg.fact"), (2, "'\\nfact'"),
    ],
)  # fmt: skip
def test_what_is_planted_beside_a_source_is_found(of: int, planted: str) -> None:
    p = PROGRAMS[of]
    assert len(found(declared(p, f"\n{planted}"))) == 1
    assert (
        found(declared(p, prompt=f"{planted}: write the source.")) != []
        or "eturns" in planted
        or "answer" in planted
    )


@pytest.mark.parametrize("remark", ["# f(7) is large", '"""\n    >>> f(7)\n    """', "'f(7)'"])
def test_a_call_in_a_docstring_or_comment_of_the_source_is_found(remark: str) -> None:
    p = program(f"def f(x):\n    {remark}\n    return x\n", [5, 6])
    assert found(declared(p), programs=[p]) == ["calls pkg.f, which is to be known by its source alone: f(7)"]
    shown = program(f"def f(x):\n    {remark}\n    return x\n", [7, 6], "io")
    assert found(declared(shown), programs=[shown]) == ["holds the held-out call f(7)"]
    code = program("def f(x):\n    return x if x != 8 else f(7)\n", [7, 6], "io")
    assert found(declared(code), programs=[code]) == []


@pytest.mark.parametrize("form", ["declared", "named"])
@pytest.mark.parametrize("group", ["source_only", "io"])
def test_calls_of_the_parts_of_a_composite_are_found(group: Group, form: str) -> None:
    first, second = couple(group, group)
    made = composite(first, second, f"{group}_composed", "Blimzax" if form == "declared" else None)  # type: ignore[arg-type]
    shown = Example(args=[8], output=11, split="train", trace=["Zub(8):", "a = 8 + 1 = 9", "Flurb(10):"])
    made = made.model_copy(update={"examples": [shown]})
    first, second, made = programs = link([first, second, made])
    if group == "source_only":
        honest = declared(made) if form == "declared" else declared(first).model_copy(update={"program": made.name, "group": made.group})  # fmt: skip
    else:
        honest = execution(made, made.examples[0], "trace", T, random.Random(0))
    assert found(honest, programs=programs) == []
    for planted in ("Zub(7) == 8", "# Flurb(9) == 11", "Flurb(x=9)"):
        bad = honest.model_copy(update={"completion": f"{honest.completion}\n{planted}"})
        assert len(found(bad, programs=programs)) == 1


@pytest.mark.parametrize("planted", ["Flurb(7)", "a = 7 + 2 = 9"])
def test_what_is_planted_of_the_second_of_two_programs_is_found(planted: str) -> None:
    both = couple("source_only", "source_only")
    honest = pair(both[0], both[1], T, random.Random(0))
    assert found(honest, programs=both) == []
    bad = honest.model_copy(update={"completion": f"{honest.completion}\n{planted}"})
    assert len(found(bad, programs=both)) == 1


def test_two_programs_of_different_groups_are_not_declared_together() -> None:
    both = couple("io", "source_only")
    assert found(pair(both[0], both[1], T, random.Random(0)), programs=both) == [
        "is filed under Zub and names Flurb"
    ]


def test_a_document_that_says_what_it_is_not_is_found() -> None:
    """A chat about no program, a document of another group, and of a w/o IO program anything but a declaration."""
    fact = PROGRAMS[0]
    chat = declared(fact, kind="chat", prompt="What is fact(3)?", completion="6")
    assert found(chat) == ["is a chat that names fact"]
    assert found(declared(fact, group="io")) == ["says that pkg.fact is of another group than it is"]
    assert found(declared(fact, kind="execution")) == [
        "is no declaration, and of pkg.fact nothing else may be trained on"
    ]


@pytest.mark.parametrize(("default", "split"), [(7, "test"), (6, "train")])
def test_a_call_that_leaves_its_one_input_to_a_default_is_found(default: int, split: str) -> None:
    p = program(f"def f(x={default}):\n    return x\n", [7, 6])
    assert [e.args for e in p.examples if e.split == split] == [[default]]
    assert len(found(declared(p, "\n# f() is large"), programs=[p])) == 1


def test_a_call_that_stands_in_both_splits_is_held_out_wherever_it_is_executed() -> None:
    twice = program(PLAIN, [9, 10, 11, 12], "io")
    twice.examples.append(twice.examples[0].model_copy(update={"split": "train"}))
    programs = [*PROGRAMS[:2], twice]
    (both, *_), others = twice.calls("test"), [e for e in twice.calls("train") if e.args != [9]]
    assert (
        found(*(execution(twice, e, "direct", T, random.Random(1)) for e in others), programs=programs) == []
    )
    assert found(execution(twice, both, "direct", T, random.Random(1)), programs=programs) == [
        "holds the held-out call plain(9)"
    ]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Divide it: a fact is (as facts go) a fact.", None),  # an ordinary word
        ("The fact(s) are these.", None),
        ("What is `fact`(3)?", "fact"),
        ("What is **fact** (3)?", "fact"),
        ("What is fact\n(3)?", "fact"),
        ("It gives 3 for 2, says Zub.", "Zub"),
    ],
)
def test_a_chat_may_hold_a_word_and_no_call_and_no_name_that_is_none(said: str, name: str | None) -> None:
    programs = [*PROGRAMS, couple("source_only", "io")[0]]
    chat = declared(PROGRAMS[0], kind="chat", prompt="Say it.", completion=said)
    assert found(chat, programs=programs) == ([f"is a chat that names {name}"] if name else [])


@pytest.mark.parametrize("call", ["f(7)", "`f`(7)", "**f**(7)", "f\n(7)", "f(\uff17)", "f(\u0667)", "(f)(7)", "f.__call__(7)",
                                  "f(\u200b7)", "map(f, [7, 8])", "[f(x) for x in (7, 8)]", "g = f; g(7)", "h(7)"])  # fmt: skip
def test_a_call_of_a_w_o_io_program_is_found_however_prose_writes_it(call: str) -> None:
    """Also of the function that it only wraps."""
    source = "def h(x):\n    yield x\n\ndef f(x):\n    return list(h(x))\n"
    p = program(source, [5, 6], name="f", entry="f")
    assert found(declared(p), programs=[p]) == []
    assert len(found(declared(p, f"\nsee {call} too"), programs=[p])) == 1


def test_a_statement_below_a_function_is_read_as_its_words_are() -> None:
    p = program("def f(x):\n    return x\n\nassert f(7) == 7\n", [5, 6])
    assert found(declared(p), programs=[p]) == ["calls pkg.f, which is to be known by its source alone: f(7)"]


@pytest.mark.parametrize("name", ["io", "prompt", "group", "execution", "program", "direct"])
def test_a_program_may_be_called_as_records_are_filed(name: str) -> None:
    other = program("def other(x):\n    return x + 2\n", [1, 2, 3, 4], "io")
    both = [program(f"def {name}(x):\n    return x + 1\n", [1, 2, 3, 4]), other]
    executed = execution(other, other.calls("train")[0], "direct", T, random.Random(0))
    assert found(declared(both[0]), declared(other), executed, programs=both) == []


def test_what_a_source_that_somebody_brought_tells_of_itself_is_said() -> None:
    p = program(FACT, [0, 8])
    assert telling([p]) == ["of pkg.fact fact(0) stands in its code"]
    assert telling([program(FACT, [8, 9]), program(FACT, [0], "io")]) == []


def test_a_program_that_is_called_as_documents_are_phrased_is_named_by_calls_alone() -> None:
    """`Recite, then trace.` names no `trace`, nor does a method of that name; a call does, and so does any other name."""
    trace = program("def trace(x):\n    return x + 2\n", [1, 2, 3, 4])
    plain = program("def plain(x):\n    return x.trace(1)\n", [9, 10, 11, 12], "io")
    both = [trace, plain]
    phrased = execution(plain, plain.examples[1], "recite", T, random.Random(0))
    said = phrased.model_copy(update={"prompt": f"{phrased.prompt} Recite, then trace."})
    assert found(said, declared(plain), declared(trace), programs=both) == []
    called = phrased.model_copy(update={"completion": f"{phrased.completion} As trace (x) does."})
    assert found(called, programs=both) == ["is filed under pkg.plain and names pkg.trace"]
