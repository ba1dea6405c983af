"""The headline says what the scores say, in the reader's words, and admits what they do not show."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pbb.report.scoreboard import ARM_ORDER, Scoreboard, headline, percent, seeds_phrase


def row(arm: str, ask: str, accuracy: float, **more: Any) -> dict[str, Any]:
    base = {
        "arm": arm,
        "seed": 0,
        "group": "source_only",
        "split": "test",
        "ask": ask,
        "accuracy": accuracy,
        "programs": 200,
    }
    return {
        **base,
        "low": accuracy - 0.02,
        "constant": 0.21,
        "constant_high": 0.24,
        "parse_failures": 0.0,
        **more,
    }


def plain(board: Scoreboard) -> str:
    finding, caveats = headline(board)
    return (
        " ".join([finding, *caveats]).replace("<strong>", "").replace("</strong>", "").replace("\u00a0", " ")
    )


def test_headline_reads_as_a_finding() -> None:
    rows = [
        row("proactive", "direct", 0.38),
        row("proactive", "recite", 0.93),
        row("proactive", "trace", 0.71),
    ]
    rows += [row("stage-1-only", ask, 0.0) for ask in ("direct", "recite")]
    rows += [row("proactive", "in-context-trace", 0.96), row("wrong-source", "recite", 0.04, planted=0.83)]
    assert plain(Scoreboard({"scores": rows, "ceilings": {"recite": "in-context-trace"}})) == (
        "After reading only their source, the model runs 93 % of held-out calls of 200 programs "
        "by reciting, 71 % by trace, 38 % directly; without stage 2: 0 %. "
        "Answering every call of a program with its commonest answer would earn 21 %. "
        "With the source in its prompt the same model runs 96 % by trace. Taught the sources under "
        "swapped names, it runs the planted program in 83 % of calls by reciting and the true one in 4 %. "
        "No answer could be read from 0 % of its texts, asked to recite."
    )


def test_the_headline_tells_the_best_that_the_control_does() -> None:
    rows = [row("proactive", "trace", 0.71)]
    rows += [row("stage-1-only", ask, share) for ask, share in (("trace", 0.05), ("direct", 0.2))]
    assert "without stage 2: at most 20 %" in plain(Scoreboard({"scores": rows}))


def test_headline_admits_guessing() -> None:
    assert "not clearly more than guessing" in plain(
        Scoreboard({"scores": [row("proactive", "trace", 0.23)]})
    )
    assert "not clearly more than guessing" not in plain(
        Scoreboard({"scores": [row("proactive", "trace", 0.5)]})
    )


def test_the_arm_of_the_tests_is_named_where_proactive_is_absent_and_not_the_best() -> None:
    rows = [row("mixed", "trace", 0.9), row("prose", "trace", 0.4), row("retroactive-grpo", "trace", 0.6)]
    said = {"scores": rows, "main_arm": "retroactive-grpo", "controls": ["mixed"]}
    assert "the model (retroactive-grpo) runs 60 %" in plain(Scoreboard(said))
    for none in ({"reads": False}, {"main_arm": "mixed"}, {"main_arm": "absent"}, {"main_arm": None}):
        assert "no arm that read the sources" in plain(Scoreboard(said | none))


def test_scores_of_older_versions_are_read_without_what_they_do_not_say() -> None:
    rows = [row("untrained", "trace", 0.0), row("proactive", "trace", 0.6)]
    rows += [row("proactive", "in-context-trace", 0.9)]
    told = plain(Scoreboard({"scores": rows}))
    assert "the model runs 60 %" in told and "in its prompt" not in told


def test_arms_stand_in_their_order_and_others_after() -> None:
    board = Scoreboard({"scores": [row(arm, "trace", 0.1) for arm in ("prose", *reversed(ARM_ORDER))]})
    assert board.arms() == [*ARM_ORDER, "prose"]


def test_a_pooled_row_speaks_for_its_cell() -> None:
    rows = [
        row("proactive", "trace", 0.2, seed=1),
        row("proactive", "trace", 0.3, seed="all"),
        row("proactive", "trace", 0.4),
    ]
    board = Scoreboard({"scores": rows})
    assert board.accuracy("proactive", "source_only", "trace") == 0.3
    assert [point["accuracy"] for point in board.points("proactive", "source_only", "trace")] == [0.4, 0.2]
    assert Scoreboard({"scores": rows[::2]}).accuracy("proactive", "source_only", "trace") == 0.4
    assert board.accuracy("proactive", "io", "trace") is None


@given(st.floats(0, 1), st.integers(0, 2))
def test_only_nothing_is_0_percent_and_only_all_is_100(value: float, digits: int) -> None:
    text = percent(value, digits).replace("\u00a0%", "")
    assert (text.strip("0.") == "") == (value == 0)
    assert (text == "100") == (value == 1)
    if text[0] not in "<>":
        assert abs(float(text) / 100 - value) <= 0.51 * 10 ** -(digits + 2)


def test_seeds_in_words() -> None:
    assert seeds_phrase([7]) == "one seed (7)"
    assert seeds_phrase([0, 1, 2]) == "three seeds (0, 1, 2)"
    assert seeds_phrase(list(range(9))).startswith("9 seeds (0, 1,")
    assert seeds_phrase([]) == "no seed"
