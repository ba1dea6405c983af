"""The measures of a step, and which rollouts are kept for a person to open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbb.training.rollouts import STRANGEST, Grpo, Reward, Rollout, flat, measures, samples, strangest


def rollout(value: float, unlike: float = 0.0, said: str | None = "1", text: str = "t") -> Rollout:
    return Rollout("What?", text, 7, True, Reward(value, said, "1", unlike))


def test_a_group_without_variance_is_one_that_earns_the_same_throughout() -> None:
    values = [1, 1, 1, 0, 0, 0, 0, 1, 0, 0.9, 1, 1]
    assert flat([rollout(v) for v in values], 3) == [True, True, False, False]
    assert measures([rollout(v) for v in values], 3)["zero_variance"] == 0.5
    assert measures([rollout(v) for v in values], 4)["zero_variance"] == 0
    assert measures([rollout(0.9)] * 6, 3)["zero_variance"] == 1


@given(st.lists(st.sampled_from([0.0, 0.9, 1.0]), min_size=3, max_size=30).filter(lambda v: len(v) % 3 == 0))
def test_live_groups_are_those_whose_rewards_differ(values: list[float]) -> None:
    same = flat([rollout(v) for v in values], 3)
    assert [not dead for dead in same] == [len(set(values[i : i + 3])) > 1 for i in range(0, len(values), 3)]


def test_measures_are_means_over_the_rollouts() -> None:
    drawn = [
        Rollout("q", "a", 4, True, Reward(1.0, "1", "1")),
        Rollout("q", "b", 8, False, Reward(0.0, None, "1")),
        Rollout("q", "c", 6, True, Reward(0.5, "1", "1")),
        Rollout("q", "d", 6, True, Reward(0.5, "1", "1")),
    ]
    assert measures(drawn, 2) == {
        "reward": 0.5,
        "zero_variance": 0.5,
        "completion_length": 6.0,
        "parse_failures": 0.25,
        "unfinished": 0.25,
    }


def test_the_best_and_the_worst_come_from_one_group_that_has_variance() -> None:
    dead = [rollout(1.0, text="dead")] * 2
    live = [rollout(0.0, said=None, text="bad"), rollout(1.0, unlike=0.5, text="good")]
    best, worst, strange = samples(dead + live, 2, step=3)
    assert [(row["why"], row["text"], row["reward"]) for row in (best, worst, strange)] == [
        ("best", "good", 1.0), ("worst", "bad", 0.0), ("strangest", "good", 1.0),
    ]  # fmt: skip
    assert {row["step"] for row in (best, worst, strange)} == {3}
    assert worst["said"] is None and worst["true"] == "1" and best["asked"] == "What?"
    assert [row["why"] for row in samples([rollout(0.0)] * 4, 2, 1)] == ["best", "worst"]  # nothing rewarded


def test_the_strangest_were_rewarded_highest_and_are_least_like_their_demonstrations() -> None:
    steps = [
        samples([rollout(value, unlike, text=f"{value} {unlike}"), rollout(0.0)], 2, step)
        for step, (value, unlike) in enumerate([(1.0, 0.2), (0.9, 1.0), (1.0, 0.7), (1.0, 0.7)] * 5)
    ]
    kept = strangest([row for rows in steps for row in rows])
    assert [(row["reward"], row["unlike"]) for row in kept] == [(1.0, 0.7), (1.0, 0.2), (0.9, 1.0)]
    many = [samples([rollout(1.0, k / 40, text=str(k)), rollout(0.0)], 2, k)[-1] for k in range(40)]
    assert [row["text"] for row in strangest(many)] == [str(k) for k in range(39, 39 - STRANGEST, -1)]


def test_a_stage_shows_every_prompt_once_where_steps_are_not_given() -> None:
    assert [Grpo(prompts_per_step=4).length(n) for n in (1, 4, 5, 8)] == [1, 1, 2, 2]
    assert Grpo(prompts_per_step=4, iterations=3).length(5) == 6
    assert Grpo(prompts_per_step=4, steps=6, iterations=3).shown(100) == 8
    assert Grpo(prompts_per_step=4).shown(5) == 8  # the last step is filled up from the first prompt on
