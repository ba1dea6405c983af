"""1 for the right value and 0 for anything else; a form lowers what a right value earns and never raises a wrong one."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from pbb.documents.render import ASKS, Ask, Document, declaration, execution, templates
from pbb.evaluation.answer import parse
from pbb.programs.program import Program
from pbb.reward import earned, in_form, rewards, unlike

Refused = Callable[..., AbstractContextManager[None]]
T = templates("arithmetic")
SHARE = 0.25

SOURCE = "def Zibdax(x):\n    a = x * 3\n    b = a - 1\n    return b"
WORKING = "a = 7 * 3 = 21\nb = 21 - 1 = 20"
DEMONSTRATIONS = {
    "direct": "20 is it.",
    "trace": f"{WORKING}\nIt returns 20",
    "recite": f"Here:\n{SOURCE}\n{WORKING}\nIt returns 20",
}


def document(ask: str) -> Document:
    return Document(
        prompt="What is Zibdax(7)?", completion=DEMONSTRATIONS[ask], program="Zibdax", group="io",
        kind="execution", ask=ask,
    )  # fmt: skip


def earns(ask: str, text: str, share: float = SHARE) -> tuple[float, str | None]:
    d = document(ask)
    reward = earned(d, parse(d.completion, cot=ask != "direct"), text, share)
    assert reward.true == "20"
    return reward.value, reward.said


@pytest.mark.parametrize(
    ("ask", "text", "value", "said"),
    [
        ("direct", "20", 1.0, "20"),
        ("direct", "20 indeed.", 1.0, "20"),
        ("direct", "Zibdax(7) returns 20.", 1.0, "20"),
        ("direct", "20\nbecause 21 - 1 = 20", 0.75, "20"),
        ("direct", "21", 0.0, "21"),
        ("direct", "20.0", 0.0, "20.0"),  # strict: a float is no integer
        ("direct", f"{WORKING}\nAnswer: 20", 0.0, None),  # working first is no direct answer
        ("direct", "", 0.0, None),
        ("trace", f"{WORKING}\nAnswer: 20", 1.0, "20"),
        ("trace", "a = 1 + 1 = 2\nAnswer: 20", 1.0, "20"),  # the working is not what is verified
        ("trace", "Answer: 20", 0.75, "20"),  # no working
        ("trace", f"{WORKING}\nAnswer: 20\nand so on", 0.75, "20"),  # the answer is not the last line
        ("trace", f"{SOURCE}\n{WORKING}\nAnswer: 20", 0.75, "20"),  # recited unasked
        ("trace", f"{WORKING}\nAnswer: 21", 0.0, "21"),
        ("trace", f"{WORKING}\nAnswer: 20\nNo: the answer is 21", 0.0, "21"),  # the last mark is the answer
        ("trace", WORKING, 0.0, None),  # right form, right working, but no answer
        ("trace", "", 0.0, None),
        ("recite", f"{SOURCE}\n{WORKING}\nAnswer: 20", 1.0, "20"),
        ("recite", f"Sure:\n{SOURCE}\n{WORKING}\nAnswer: 20", 1.0, "20"),
        ("recite", f"def Zibdax(x):\n    return 20\n{WORKING}\nAnswer: 20", 1.0, "20"),  # form, not content
        ("recite", f"{WORKING}\nAnswer: 20", 0.75, "20"),  # nothing recited
        ("recite", f"{WORKING}\n{SOURCE}\nAnswer: 20", 0.75, "20"),  # recited too late
        ("recite", f"{SOURCE}\n{WORKING}\nAnswer: 19", 0.0, "19"),
        ("recite", f"{SOURCE}\n{WORKING}", 0.0, None),
        ("recite", SOURCE, 0.0, None),  # form alone earns nothing
    ],
)
def test_what_a_rollout_earns(ask: str, text: str, value: float, said: str | None) -> None:
    assert earns(ask, text) == (value, said)
    assert earns(ask, text, share=0.0) == (
        float(value > 0),
        said,
    )  # without a share the value is all there is
    if not value:
        assert earns(ask, text, share=1.0)[0] == 0.0


def test_prose_is_recited_without_a_def() -> None:
    d = document("trace").model_copy(
        update={"ask": "recite", "completion": f"Multiply x by 3.\n{WORKING}\nAnswer: 20"}
    )
    assert in_form(d.completion, d)
    assert not in_form(f"{SOURCE}\n{WORKING}\nAnswer: 20", d)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("context", [None, "source"])
def test_every_demonstration_earns_the_whole_reward(ask: Ask, context: None, programs: list[Program]) -> None:
    rng = random.Random(0)
    documents, truths = [], []
    for p in programs:
        for e in p.calls("train"):
            documents.append(execution(p, e, ask, T, rng, "source", context))
            truths.append(repr(e.output))
    reward = rewards(documents, 0.5)(range(len(documents)), [d.completion for d in documents])
    assert [(r.value, r.said, r.true, r.unlike) for r in reward] == [(1.0, t, t, 0.0) for t in truths]


def test_a_rollout_is_held_against_the_prompt_that_it_answers(programs: list[Program]) -> None:
    rng = random.Random(0)
    p = next(p for p in programs if len({e.output for e in p.calls("train")}) > 1)
    first = p.calls("train")[0]
    second = next(e for e in p.calls("train") if e.output != first.output)
    documents = [execution(p, e, "trace", T, rng) for e in (first, second)]
    reward = rewards(documents, 0.0)
    texts = [d.completion for d in documents]
    assert [r.value for r in reward([0, 1, 1, 0], [texts[0], texts[1], texts[0], texts[1]])] == [1, 1, 0, 0]


def test_what_cannot_be_verified_is_refused(programs: list[Program], refused: Refused) -> None:
    told = declaration(programs[0], T, random.Random(0))
    for d in (told, document("trace").model_copy(update={"completion": "a = 7 * 3 = 21"})):
        with refused("training", repr(d.prompt), "verified"):
            rewards([document("trace"), d], 0.0)


def test_unlike_is_the_share_of_lines_before_the_last_that_are_not_shared() -> None:
    d = DEMONSTRATIONS["trace"]
    assert unlike(f"{WORKING}\nanother closing", d) == 0
    assert unlike("a = 7 * 3 = 21\nb = 0\nAnswer: 20", d) == pytest.approx(2 / 3)
    assert unlike("Answer: 20", d) == unlike("c = 1\nAnswer: 20", d) == 1
    assert unlike("20", "20 is it.") == 0
    assert unlike("20\nbecause", "20 is it.") == 1


def test_a_source_that_begins_with_imports_is_recited_as_it_was_demonstrated() -> None:
    source = "import math\n\ndef Zibdax(x):\n    return math.isqrt(x)"
    d = document("recite").model_copy(update={"completion": f"Here:\n{source}\nAnswer: 2"})
    truth = parse(d.completion, cot=True)
    assert earned(d, truth, d.completion, SHARE).value == 1.0
    assert earned(d, truth, f"{source}\nAnswer: 2", SHARE).value == 1.0
    assert earned(d, truth, f"One.\nTwo.\n{source}\nAnswer: 2", SHARE).value == 1.0 - SHARE
    assert earned(d, truth, "2 * 1 = 2\nAnswer: 2", SHARE).value == 1.0 - SHARE
    bare = d.model_copy(update={"completion": f"{source}\nAnswer: 2"})
    assert (
        earned(bare, truth, d.completion, SHARE).value
        == earned(bare, truth, bare.completion, SHARE).value
        == 1.0
    )
