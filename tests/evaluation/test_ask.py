"""The measures see a model that is right as right: every way of asking, every phrasing, with room for all of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from pbb.documents.corpus import disguised, planted
from pbb.documents.render import Representation, Templates, answer, declaration, templates
from pbb.evaluation import ask as module
from pbb.evaluation.ask import Question, ask, judge, questions, recited
from pbb.evaluation.phrasing import in_phrasing
from pbb.models.decode import Generation
from pbb.models.load import encode
from pbb.programs.arithmetic import run as meaning
from pbb.programs.arithmetic_prose import parse as read_prose
from pbb.programs.program import Example, Program, TraceStep, read_programs
from pbb.programs.random_arithmetic import Arithmetic
from pbb.progress import Progress
from pbb.recipe_file import load, shipped
from pbb.recipe_graph import graph
from pbb.steps import make_programs

Refused = Callable[..., AbstractContextManager[None]]
T = templates("arithmetic")
WAYS = ("direct", "trace", "recite", "in-context-direct", "in-context-trace", "recall")
COLUMNS = {
    "needs",
    "arm", "seed", "group", "split", "ask", "program", "length", "ops", "call", "source", "prompt", "generation",
    "expected", "planted", "parsed", "correct", "lenient", "planted_correct", "recalled", "recalled_form", "sample",
    "tokens", "finished",
}  # fmt: skip


def phrased(number: int) -> Templates:
    """Response phrasing `number` alone."""
    return T.model_copy(
        update={
            "openings": [T.openings[number]],
            "closings": [T.closings[number]],
            "tails": [T.tails[number]],
        }
    )


def right(q: Question, phrasings: Templates, representation: Representation) -> str:
    """What a perfect model writes."""
    rng = random.Random(0)
    if q.example is None:
        return declaration(q.program, phrasings, rng, representation).completion
    way: Any = q.ask.removeprefix("in-context-")
    return answer(q.program, q.example, way, phrasings, rng, representation)


Ask = Callable[..., pd.DataFrame]


@pytest.fixture
def put(
    monkeypatch: pytest.MonkeyPatch,
    tokenizer: PreTrainedTokenizerFast,
    tiny_llama: Callable[[int], LlamaForCausalLM],
) -> Ask:
    """`put(questions, texts, ...)`: `ask` with a model that writes these texts, as far as the limits let it."""

    def put(asked: Sequence[Question], texts: Sequence[str], **more: Any) -> pd.DataFrame:
        def decode(
            model: object, prompts: list[list[int]], *, end: int, pad: int, limits: list[int], **_: Any
        ) -> list[Generation]:
            assert (end, pad) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
            assert prompts == encode(tokenizer, [q.prompt for q in asked])
            written = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
            return [
                Generation(ids[:limit], len(ids) < limit) for ids, limit in zip(written, limits, strict=True)
            ]

        monkeypatch.setattr(module, "decode", decode)
        return ask(tiny_llama(0), tokenizer, asked, arm="proactive", seed=3, **more)

    return put


def all_questions(programs: list[Program], representation: Representation = "source") -> list[Question]:
    return questions(programs, WAYS, ["test", "train"], 3, T, representation)


@pytest.mark.parametrize("representation", ["source", "prose"])
@pytest.mark.parametrize("phrasing", range(0, len(T.openings), 3))
def test_a_model_that_is_right_is_right_everywhere(
    phrasing: int, representation: Representation, programs: list[Program], put: Ask
) -> None:
    asked = all_questions(programs, representation)
    t = phrased(phrasing)
    frame = put(asked, [right(q, t, representation) for q in asked], representation=representation)
    assert set(frame["ask"]) == set(WAYS)
    for way, rows in frame.groupby("ask"):
        assert rows["correct"].all() and rows["lenient"].all(), rows.loc[~rows["correct"].astype(bool)].iloc[
            0
        ]
        assert rows["finished"].all(), (way, t.openings, t.closings)
        assert not rows["planted_correct"].any()
        if way in ("recite", "recall"):
            assert rows["recalled"].all() and rows["recalled_form"].all()


def test_limits_leave_room_for_every_right_answer(programs: list[Program], put: Ask) -> None:
    """Also for the longest phrasings together, whichever were drawn when the limit was set."""
    longest = Templates(
        pointers=T.pointers, instructions=T.instructions, openings=[max(T.openings, key=len)],
        closings=[max(T.closings, key=len)], tails=[max(T.tails, key=len)],
    )  # fmt: skip
    asked = all_questions(programs)
    frame = put(asked, [right(q, longest, "source") for q in asked])
    assert frame["finished"].all()
    assert frame["correct"].all()


@pytest.mark.parametrize("representation", ["source", "prose"])
def test_a_model_that_runs_the_planted_program_is_right_about_it(
    representation: Representation, programs: list[Program], put: Ask
) -> None:
    swapped = planted(programs, 0)
    own = {p.name: p for p in programs}
    asked = [q for q in all_questions(programs, representation) if q.program.name in swapped]
    assert {len(swapped[q.program.name].statements) > len(q.program.statements) for q in asked} == {
        True,
        False,
    }
    told = []
    for q in asked:
        wrong = disguised(own[q.program.name], swapped[q.program.name])
        example = q.example and run(swapped[q.program.name], q.example)
        told.append(right(Question(wrong, q.ask, q.split, example, q.prompt, ""), T, representation))
    frame = put(asked, told, planted=swapped, representation=representation)
    unfinished = frame[~frame["finished"]]
    assert unfinished.empty, f"{len(unfinished)} cut short, such as {unfinished.iloc[0].to_dict()}"
    assert frame["planted_correct"].all()
    calls = frame[frame["ask"] != "recall"]
    assert list(calls["correct"]) == list(calls["expected"] == calls["planted"])
    assert not frame[frame["ask"] == "recall"]["correct"].any()
    assert not frame["recalled"].dropna().any()

    told = [right(q, T, representation) for q in asked]
    honest = put(asked, told, planted=swapped, representation=representation)
    assert honest["correct"].all()
    assert list(honest["planted_correct"]) == list(honest["expected"] == honest["planted"])


def outcome(p: Program, x: int, trace: list[TraceStep] | None = None) -> int:
    """What `p` gives, by the meaning of its prose."""
    return meaning(read_prose(str(p.prose)), x, trace)[0]


def run(p: Program, e: Example) -> Example:
    """The example that `p` gives on the inputs of another program's example."""
    trace: list[TraceStep] = []
    return Example(args=e.args, output=outcome(p, e.args[0], trace), split="test", trace=trace)


def test_the_frame_is_what_the_scores_read(programs: list[Program], put: Ask, tmp_path: Path) -> None:
    asked = all_questions(programs)
    frame = put(asked, ["17 is it"] * len(asked), planted=planted(programs, 0))
    assert set(frame.columns) == COLUMNS
    frame.to_parquet(tmp_path / "p.parquet", index=False)
    again = pd.read_parquet(tmp_path / "p.parquet")
    for column, kind in {"seed": "int64", "length": "int64", "sample": "int64", "tokens": "int64", "correct": "bool",
                         "lenient": "bool", "planted_correct": "bool", "finished": "bool"}.items():  # fmt: skip
        assert str(again[column].dtype) == kind, column
    recall = again[again["ask"] == "recall"]
    assert set(recall["split"]) == {"none"} and set(recall["call"]) == {""} and recall["parsed"].isna().all()
    assert len(recall) == len(programs)
    asked_calls = again[again["ask"] != "recall"]
    assert asked_calls["call"].str.len().min() > 3
    assert again[~again["ask"].isin(["recite", "recall"])]["recalled"].isna().all()
    by_group = again.groupby("group")["planted"]
    assert by_group.get_group("io").isna().all() and by_group.get_group("source_only").notna().all()
    assert set(again["generation"]) == {"17 is it"}


def records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows, with None for what is not there."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def test_what_is_sampled_stands_below_what_is_greedy(
    programs: list[Program],
    tokenizer: PreTrainedTokenizerFast,
    tiny_llama: Callable[[int], LlamaForCausalLM],
) -> None:
    some = [p for p in programs if p.group == "source_only"] + [p for p in programs if p.group == "io"][:2]
    asked = questions(some, ("direct", "in-context-direct", "recall"), ["test", "train"], 2, T)
    swapped = planted(programs, 0)

    def put(seed: int = 3, **sampled: Any) -> pd.DataFrame:
        return ask(tiny_llama(0), tokenizer, asked, arm="a", seed=seed, planted=swapped, **sampled)

    greedy, sampled = put(), put(samples=3, temperature=2.0)
    assert set(sampled.columns) == COLUMNS
    assert records(sampled[: len(asked)]) == records(greedy)
    drawn = sampled[len(asked) :]
    first = greedy[greedy["split"].eq("test") & greedy["group"].eq("source_only")]
    assert len(drawn) == 3 * len(first) == 3 * 8 * 2 * 2
    assert drawn["sample"].tolist() == [1, 2, 3] * len(first)
    same = ["program", "ask", "split", "call", "prompt", "expected", "planted", "group", "seed"]
    for number in (1, 2, 3):
        assert records(drawn.loc[drawn["sample"] == number, same]) == records(first[same])
    limits = {way: rows["tokens"].max() for way, rows in greedy.groupby("ask")}
    assert all(row["tokens"] <= limits[row["ask"]] for _, row in drawn.iterrows())
    assert drawn.groupby("prompt")["generation"].nunique().gt(1).mean() > 0.9
    assert records(put(samples=3, temperature=2.0)) == records(sampled)
    other = put(4, samples=3, temperature=2.0)[len(asked) :]
    assert (other["generation"].to_numpy() != drawn["generation"].to_numpy()).mean() > 0.9


def test_what_is_sampled_is_judged_as_what_is_greedy(
    programs: list[Program],
    tokenizer: PreTrainedTokenizerFast,
    tiny_llama: Callable[[int], LlamaForCausalLM],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a model that is right where it draws and writes nothing where it does not."""
    asked = [q for q in all_questions(programs) if q.program.group == "source_only" and q.split == "test"]
    told = {q.prompt: right(q, T, "source") for q in asked}
    texts = {tuple(encode(tokenizer, [prompt])[0]): text for prompt, text in told.items()}

    def decode(
        model: object, prompts: list[list[int]], *, limits: list[int], temperature: float, **_: Any
    ) -> list[Generation]:
        written = [texts[tuple(p)] if temperature == 0.5 else "" for p in prompts]
        ids = tokenizer(written, add_special_tokens=False)["input_ids"]
        return [Generation(i[:limit], len(i) < limit) for i, limit in zip(ids, limits, strict=True)]

    monkeypatch.setattr(module, "decode", decode)
    frame = ask(tiny_llama(0), tokenizer, asked, arm="a", seed=0, samples=2, temperature=0.5)
    assert not frame[frame["sample"] == 0]["correct"].any()
    drawn = frame[frame["sample"] > 0]
    assert len(drawn) == 2 * len(asked)
    assert drawn["correct"].all() and drawn["finished"].all() and drawn["parsed"].notna().all()
    assert drawn[drawn["ask"] == "recite"]["recalled"].all()


@pytest.mark.parametrize("group", ["io", "source_only"])
def test_a_model_that_writes_nonsense_is_wrong(group: str, programs: list[Program], put: Ask) -> None:
    asked = [q for q in all_questions(programs) if q.program.group == group]
    for text in ("", "def", "I do not know.", "Answer:", "def x(:\n  ?"):
        frame = put(asked, [text] * len(asked), planted=planted(programs, 0))
        assert (
            not frame["correct"].any() and not frame["lenient"].any() and not frame["planted_correct"].any()
        )
        assert frame["parsed"].isna().all()
        assert not frame["recalled"].dropna().any() and not frame["recalled_form"].dropna().any()


def test_a_direct_question_gives_no_credit_to_a_chain(programs: list[Program], put: Ask) -> None:
    asked = [q for q in all_questions(programs) if q.ask.endswith("direct")]
    chains = [answer(q.program, q.example, "trace", T, random.Random(0)) for q in asked if q.example]
    assert not put(asked, chains)["correct"].any()


def test_another_layout_of_the_source_is_recalled_in_form_only(programs: list[Program], put: Ask) -> None:
    asked = [q for q in all_questions(programs) if q.ask == "recall"]
    frame = put(asked, [q.program.source.replace("    ", "  ") for q in asked])
    assert not frame["recalled"].any() and not frame["correct"].any()
    assert frame["recalled_form"].all() and frame["lenient"].all()


def test_a_source_that_begins_with_an_import_is_recalled_in_form_with_it_alone(
    programs: list[Program], put: Ask
) -> None:
    above = "import math\n\n"
    changed = [p.model_copy(update={"source": above + p.source}) for p in programs]
    asked = [q for q in all_questions(changed) if q.ask == "recall"]

    def judged(write: Callable[[str], str]) -> list[tuple[bool, bool]]:
        frame = put(asked, [write(q.program.source) for q in asked])
        return sorted(set(zip(frame["recalled"], frame["recalled_form"], strict=True)))

    assert judged(lambda source: source) == [(True, True)]
    assert judged(lambda source: source.replace("\n\n", "\n")) == [(False, True)]
    assert judged(lambda source: "It is this:\n" + source.replace("\n\n", "\n\n\n")) == [(False, True)]
    assert judged(lambda source: source.removeprefix(above)) == [(False, False)]


def test_asked_calls_are_those_of_the_split_and_the_same_for_all_arms(programs: list[Program]) -> None:
    asked = questions(programs, WAYS, ["test"], 3, T)
    assert asked == questions(programs, WAYS, ["test"], 3, T)
    assert len(asked) == len(programs) * (5 * 3 + 1)
    assert asked != questions(programs, WAYS, ["train"], 3, T)
    by_way = {way: [(q.program.name, q.example) for q in asked if q.ask == way] for way in WAYS[:5]}
    assert len({str(calls) for calls in by_way.values()}) == 1  # every way is put to the same calls
    for q in asked:
        if q.example is not None:
            assert q.example in q.program.calls("test")
            assert q.example.call(q.program.name) in q.prompt
        assert ("def " in q.prompt) == q.ask.startswith("in-context")
    some = questions(programs, ["direct"], ["test"], 99, T)
    assert len(some) == len(programs) * 6


def test_all_is_asked_in_one_phrasing(programs: list[Program], refused: Refused) -> None:
    asked = questions(programs, WAYS, ["test"], 2, in_phrasing(T, 20))
    pointers = {
        q.prompt.split("\n")[-1].replace(q.example.call(q.program.name), "{}") for q in asked if q.example
    }
    assert {text.partition("{}")[0] for text in pointers} == {T.pointers[19].partition("{")[0]}
    assert len(pointers) == 3  # one instruction for each of three ways of asking, the last of four
    assert {text.rpartition("{}. ")[2] for text in pointers} == {T.instructions[way][3] for way in WAYS[:3]}
    assert in_phrasing(T, 20).openings == T.openings
    for number in (0, 21):
        with refused("evaluation.phrasing", str(number)):
            in_phrasing(T, number)


@pytest.mark.parametrize("model", ["base", "smollm2"])
@pytest.mark.parametrize(
    "name",
    [  # sizes has the programs of prose, and models that are not on every machine
        name
        for name in shipped()
        if (data := load(name).data).family == "arithmetic" and not data.compose and name != "sizes"
    ],
)
def test_no_other_program_gives_a_w_o_io_programs_answers_on_the_calls_it_is_asked(
    name: str, model: str, tmp_path: Path
) -> None:
    """The twins that matter are those on the evaluation's own questions, which may be fewer than the held-out inputs."""
    few = [] if name == "efficiency" else ["data.io=100"]  # whose stages choose among the 500 that it has
    whole = load(name, model=model)  # no stage or arm names more programs than are left
    few += [f"stages.{stage}.programs={{}}" for stage, s in whole.stages.items() if s.programs]
    few += [f"arms.{arm}.programs={{}}" for arm, a in whole.arms.items() if a.programs]
    recipe = load(name, [*few, "data.source_only=40"], model=model)
    step = graph(recipe)[0]
    make_programs(step.config, {}, tmp_path, Progress())
    made = read_programs(tmp_path / "programs.jsonl")
    assert isinstance(recipe.data, Arithmetic)
    low, high = recipe.data.input_range
    table = {p.name: [outcome(p, x) for x in range(low, high + 1)] for p in made}
    unseen = [p for p in made if p.group == "source_only"]
    fewest = min(recipe.evaluation.calls, recipe.evaluation.direct_calls)
    asked = questions(unseen, ["trace"], ["test"], fewest, T)
    twins = []
    for p in unseen:
        xs = [q.example.args[0] - low for q in asked if q.program is p and q.example]
        assert len(xs) == fewest
        twins += [
            (p.name, other)
            for other, values in table.items()
            if other != p.name and all(values[x] == table[p.name][x] for x in xs)
        ]
    assert twins == []


def test_prose_is_recited_whole_and_on_lines_of_its_own(programs: list[Program]) -> None:
    p, other = [p for p in programs if p.group == "source_only"][:2]
    q = Question(p, "recall", "none", None, "prompt", "")
    true, taught = str(p.prose), str(other.prose)
    assert true != taught

    def judged(text: str) -> tuple[object, ...]:
        row = judge(q, text, other, None, "prose")
        assert (row["expected"], row["planted"]) == (true, taught)
        assert row["correct"] is row["recalled"] is row["lenient"]
        return row["correct"], row["planted_correct"]

    for text, right in {
        true: (True, False), f"It is:\n{true}": (True, False), taught: (False, True), f"It is:\n{taught}\n": (False, True),
        f"{true} {taught}": (False, False), taught[:-1]: (False, False), f"Not {taught}": (False, False),
        p.source: (False, False), other.source: (False, False), "": (False, False),
    }.items():  # fmt: skip
        assert judged(text) == right, text
    recite = Question(p, "recite", "test", p.calls("test")[0], "prompt", "")
    assert judge(recite, f"{true}\nAnswer: 1", None, None, "prose")["recalled"] is True
    assert judge(recite, f"{true} Then more.\nAnswer: 1", None, None, "prose")["recalled"] is False


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("", ""),
        ("no function here", ""),
        ("def f(x):\n    return x", "def f(x):\n    return x"),
        (
            "Source:\ndef f(x):\n    a = x\n    return a\na = 7\nAnswer: 7",
            "def f(x):\n    a = x\n    return a",
        ),
        ("def f(x):\n    return x\ndef g(x):\n    return 1", "def f(x):\n    return x"),
        ("def f(x):", "def f(x):"),
        ("def f(x):\nAnswer: 7", "def f(x):"),
        ("def f(x):\n    if x:\n        a = 1\n\n    return a", "def f(x):\n    if x:\n        a = 1"),
    ],
)
def test_what_was_recited_is_the_first_function(text: str, source: str) -> None:
    assert recited(text) == source


def test_one_row_judged_by_hand(programs: list[Program]) -> None:
    p = next(p for p in programs if p.group == "source_only")
    e = p.calls("test")[0]
    q = Question(p, "trace", "test", e, "prompt", "")
    row = judge(q, f"a = 1\nAnswer: {e.output}", None, None)
    assert (row["parsed"], row["expected"], row["correct"], row["planted"]) == (
        repr(e.output), repr(e.output), True, None,
    )  # fmt: skip
    wrong = judge(q, f"Answer: {e.output + 1}", p, e.output + 1)
    assert (wrong["correct"], wrong["planted_correct"], wrong["planted"]) == (False, True, repr(e.output + 1))
    lenient = judge(q, f"Answer: {e.output}.0", None, None)
    assert (lenient["correct"], lenient["lenient"]) == (False, True)
    assert judge(q, "no mark: 7", None, None)["parsed"] is None


def test_a_recital_of_a_composite_is_right_with_all_its_sources(composed: list[Program]) -> None:
    for p in (p for p in composed if p.needs):
        asked = questions([p], ["recite", "recall"], ["test"], 2, templates("arithmetic"))
        assert len(asked) == (2 if p.only_named else 3)
        for q in asked:
            row = judge(q, q.longest, None, None)
            assert row["recalled"] and row["correct"] and row["needs"] == ",".join(p.needs)
            if q.ask == "recite":
                last = p.parts[1].source.rstrip("\n")
                assert last in q.longest and not judge(q, q.longest.replace(last, ""), None, None)["recalled"]
