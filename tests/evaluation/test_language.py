"""Samples of a grammar, by a model that knows it and by one that does not, and what they score."""

from __future__ import annotations

import pandas as pd
import pytest

from pbb.documents.corpus import Share, stage_documents
from pbb.documents.render import templates
from pbb.evaluation.answer import parse
from pbb.evaluation.language import languages
from pbb.evaluation.sample import judge, sample
from pbb.programs.grammar import derivations, rules_of
from pbb.programs.grammars import Grammars, grammars, program
from pbb.programs.program import Program

RULES = {"S": ["aA", "bSb", "c"], "A": ["d", "cS", "ab"]}
OTHER = {"S": ["a", "bS", "cc"], "A": ["a", "b", "c"]}


def the_program(rules: dict[str, list[str]] = RULES, name: str = "Zibdax") -> Program:
    return program(name, rules, "source_only", {"test": [[2]]}, {})


def rows(texts: list[str], p: Program, other: Program | None = None) -> pd.DataFrame:
    seen = [judge(p, text, other) | {"sample": i + 1, "arm": "a", "seed": 0} for i, text in enumerate(texts)]
    return pd.DataFrame(seen)


def test_samples_are_judged_by_membership() -> None:
    frame = rows(["'ad'.", "'bcb' is it.", "'ad' then", "'abc'", "17", "no", "['ad']"], the_program())
    assert frame["correct"].tolist() == [True, True, True, False, False, False, False]
    (row,) = languages(frame)
    assert (row["n"], row["programs"], row["planted"]) == (7, 1, None)
    assert row["member"] == pytest.approx(3 / 7)
    assert row["distinct"] == pytest.approx(2 / 7)
    assert row["coverage"] == pytest.approx(4 / 6)  # S: 0, 1 and 2; A: 0
    assert 0 < row["random"] < 1
    assert row["parse_failures"] == pytest.approx(1 / 7)


def test_one_string_again_and_again_is_no_coverage() -> None:
    (row,) = languages(rows(["'c'"] * 10, the_program()))
    assert (row["member"], row["distinct"], row["coverage"]) == (1.0, 0.1, pytest.approx(1 / 6))


def test_all_short_strings_cover_the_grammar() -> None:
    texts = [repr(text) for _, text in derivations(RULES, (1, 4), 9)]
    (row,) = languages(rows(texts, the_program()))
    assert (row["member"], row["coverage"]) == (1.0, 1.0) and row["random"] < 0.3


def test_a_planted_grammar_is_judged_beside_the_true_one() -> None:
    (row,) = languages(rows(["'bba'", "'c'", "'cc'"], the_program(), the_program(OTHER, "Snurg")))
    assert (row["member"], row["planted"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_nothing_sampled_gives_nothing() -> None:
    assert languages(rows(["'c'"], the_program()).assign(sample=0)) == []


@pytest.mark.parametrize("text", ["'" + "b" * 500 + "'", "''", "'S'", "'aA'", "", "'", "None"])
def test_what_no_grammar_gives(text: str) -> None:
    assert judge(the_program(), text, None)["correct"] is False


def test_w_io_grammars_are_trained_on_strings_without_their_choices() -> None:
    made = grammars(Grammars(io=6, source_only=3, train_inputs=8, test_inputs=4), 0)
    mix = [Share(kind="execution", group="io", per_program=5, ask="sample")]
    documents = stage_documents(made, mix, templates("grammars"), stage="learn", seed=0)
    by_name = {p.name: p for p in made}
    assert len(documents) == 30
    for d in documents:
        p = by_name[d.program]
        assert f"{p.name}(choices)" in d.prompt and "[" not in d.prompt
        assert judge(p, d.completion, None)["correct"]
        assert parse(d.completion, cot=False).value in {e.output for e in p.calls("train")}


def test_a_model_is_sampled(tokenizer: object, tiny_llama: object) -> None:
    p = the_program()
    ask = lambda seed: sample(  # noqa: E731
        tiny_llama(0),
        tokenizer,
        [p],
        4,
        templates("grammars"),
        arm="a",
        seed=seed,  # type: ignore[arg-type, operator]
    )
    frame = ask(1)
    assert frame["sample"].tolist() == [1, 2, 3, 4] and frame["prompt"].nunique() > 1
    assert frame["generation"].nunique() > 1
    assert ask(1).equals(frame) and not ask(2)["generation"].equals(frame["generation"])
    assert rules_of(frame["source"][0]) == RULES
