"""Which answers of a group make a pair, and dials that leave nothing to learn."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pbb.training.pairs import Dpo, chosen, row
from pbb.training.rollouts import Reward, Rollout


def group(values: list[float]) -> list[Rollout]:
    return [Rollout("asked", f"text {i}", 3, True, Reward(v, "1", "2", 0.25)) for i, v in enumerate(values)]


@given(st.lists(st.sampled_from([0.0, 0.9, 1.0]), min_size=2, max_size=8), st.integers())
def test_a_pair_is_one_of_the_best_and_one_of_the_worst(values: list[float], seed: int) -> None:
    pair = chosen(group(values), random.Random(seed))
    assert (pair is None) == (len(set(values)) == 1)
    if pair:
        assert values[pair[0]] == max(values) > min(values) == values[pair[1]]
        assert chosen(group(values), random.Random(seed)) == pair


def test_any_of_the_best_and_of_the_worst_may_be_taken() -> None:
    values = [1.0, 0.0, 0.9, 1.0, 0.0]
    pairs = {chosen(group(values), random.Random(seed)) for seed in range(50)}
    assert pairs == {(0, 1), (0, 4), (3, 1), (3, 4)}


def test_a_row_says_what_both_were_verified_by() -> None:
    a, b = group([1.0, 0.0])
    told = row(7, a, b, ([4, 5], [6]))
    assert (told["prompt"], told["chosen"], told["rejected"]) == (7, "text 0", "text 1")
    assert (told["said"], told["true"], told["reward"], told["unlike"]) == (["1", "1"], "2", [1.0, 0.0], 0.25)
    assert (told["chosen_ids"], told["rejected_ids"]) == ([4, 5], [6])


def test_dials_that_teach_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing to learn"):
        Dpo(beta=0)
    assert Dpo(beta=0, likelihood=1).group_size == 8
