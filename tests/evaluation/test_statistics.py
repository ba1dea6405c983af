"""Intervals and tests against known answers, and their coverage against a simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pbb.evaluation import statistics
from pbb.evaluation.statistics import (
    clustered_interval,
    holm,
    homogeneity,
    paired_permutation,
    pass_at_k,
    ratio_interval,
)


def _programs(rng: np.random.Generator, programs: int, questions: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers whose chance is the program's own: true mean 0.5, strongly clustered."""
    chances = rng.beta(0.5, 0.5, size=programs)
    correct = rng.random((programs, questions)) < chances[:, None]
    return correct.ravel().astype(float), np.repeat(np.arange(programs), questions)


def test_the_interval_covers_the_truth_as_often_as_it_says_and_one_over_questions_does_not() -> None:
    rng = np.random.default_rng(0)
    clustered, naive, trials = 0, 0, 400
    for trial in range(trials):
        correct, cluster = _programs(rng, 40, 10)
        found = clustered_interval(correct, cluster, seed=1)
        assert found is not None
        clustered += found.low <= 0.5 <= found.high
        if trial >= 50:
            continue
        alone = clustered_interval(correct, np.arange(len(correct)), seed=1)
        assert alone is not None
        naive += alone.low <= 0.5 <= alone.high
    assert 0.91 <= clustered / trials <= 0.98
    assert naive / 50 < 0.75


def test_the_mean_is_over_questions_and_the_interval_is_the_bootstrap_of_whole_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statistics, "FEW", 0)
    correct, cluster = [1, 1, 1, 0, 0], ["a", "a", "a", "b", "c"]
    # Of 27 equally likely draws of programs, 8 have no a (mean 0), 12 one (3/5), 6 two (6/7), 1 three (1).
    for level, low, high in [(0.95, 0, 1), (0.9, 0, 6 / 7), (0.5, 0, 6 / 7), (0.3, 0.6, 0.6)]:
        found = clustered_interval(correct, cluster, seed=3, resamples=20_000, level=level)
        assert found is not None and found.mean == 0.6
        assert [found.low, found.high] == pytest.approx([low, high])


def test_the_interval_of_a_difference_is_the_bootstrap_of_whole_programs() -> None:
    a, b, cluster = [1, 1, 1, 1, 0], [0, 0, 1, 1, 0], ["a", "a", "b", "c", "c"]
    # differences by program 1, 0, 0: of 27 draws 8 have mean 0, 12 have 1/3, 6 have 2/3, 1 has 1
    for level, low, high in [(0.95, 0, 1), (0.9, 0, 2 / 3), (0.5, 0, 2 / 3), (0.3, 1 / 3, 1 / 3)]:
        found = paired_permutation(a, b, cluster, seed=3, resamples=20_000, level=level)
        assert found is not None and found.difference == pytest.approx(1 / 3)
        assert [found.low, found.high] == pytest.approx([low, high])


DATA = (np.array([1, 0, 1, 1, 0, 1, 0, 0, 1.0]), np.array([1, 1, 2, 3, 4, 4, 5, 6, 6]))


@pytest.mark.parametrize(("chunk", "p"), [(2_000_000, 0.16), (45, 0.19), (1, 0.15)])
def test_a_seed_gives_the_numbers_that_it_gave_before(
    chunk: int, p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded once. In how many chunks programs are drawn is of no consequence; signs are drawn by the byte."""
    monkeypatch.setattr(statistics, "_CHUNK", chunk)
    monkeypatch.setattr(statistics, "FEW", 0)
    statistics._kept_weights.cache_clear()
    found = clustered_interval(*DATA, resamples=50, seed=4)
    assert found is not None
    assert [found.low, found.high] == pytest.approx([3 / 7, 0.8330357142857141])
    many = np.arange(15) % 2 == 0, np.arange(15) % 5 == 1, np.arange(15)
    paired = paired_permutation(*many, seed=4, resamples=50, permutations=99)
    assert paired is not None and paired.p == p
    assert [paired.low, paired.high] == pytest.approx([0.0, 0.7183333333333332])
    same = paired_permutation(many[0], many[0], many[2], seed=4, permutations=99)
    assert same is not None and same.p == 1.0
    statistics._kept_weights.cache_clear()


def test_without_a_seed_it_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "FEW", 0)
    many = np.arange(20) % 3 == 0, np.arange(20) % 7 == 1, np.arange(20)
    cells = (DATA[0], DATA[1]), (DATA[0] * 0, DATA[1]), (np.ones(9), DATA[1])
    for interval, data in ((clustered_interval, DATA), (paired_permutation, many), (ratio_interval, cells)):
        without, zero, one = (
            interval(*data, resamples=50, **seed) for seed in ({}, {"seed": 0}, {"seed": 1})
        )
        assert without == zero != one


def test_few_right_answers_are_told_no_surer_than_they_are() -> None:
    """Korn and Graubard's interval: of a design effect of one it is Clopper and Pearson's on the questions, and it grows with what is right."""
    cluster = np.repeat(np.arange(10), 5)
    one = np.arange(50) == 7
    found = clustered_interval(one, cluster)
    assert found is not None and found.mean == 0.02
    # a program of five with one right: variance (0.9 ** 2 + 9 * 0.1 ** 2) / 50 ** 2 * 10 / 9
    effective = 0.02 * 0.98 / 0.0004 * (stats.t.ppf(0.975, 49) / stats.t.ppf(0.975, 9)) ** 2
    whole = stats.binomtest(1, 50).proportion_ci(method="exact")
    assert found.high == pytest.approx(
        stats.beta.ppf(0.975, 0.02 * effective + 1, effective - 0.02 * effective)
    )
    assert whole.high < found.high < 0.15  # a bootstrap gave 0.06
    mirrored = clustered_interval(~one, cluster)
    assert mirrored is not None
    assert [1 - mirrored.high, 1 - mirrored.low] == pytest.approx([found.low, found.high])
    ends = [clustered_interval(np.arange(50) % 25 < k, cluster) for k in range(1, 5)]
    highs = [end.high for end in ends if end is not None]
    assert highs == sorted(highs)


@pytest.mark.parametrize(("programs", "right"), [(10, 0.12), (18, 0.08), (40, 0.03)])
def test_intervals_of_few_programs_hold_what_they_promise(programs: int, right: float) -> None:
    """A program's share of right answers is drawn from a beta distribution; with a bootstrap coverage was 0.83 to 0.92."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        shares = rng.beta(2 * right, 2 * (1 - right), programs)
        found = clustered_interval(
            rng.random((programs, 5)).ravel() < np.repeat(shares, 5), np.repeat(np.arange(programs), 5)
        )
        assert found is not None
        inside += found.low <= right <= found.high
    assert inside / 400 >= 0.93


def test_seeds_that_agree_and_seeds_that_do_not() -> None:
    rng = np.random.default_rng(0)
    ps = [homogeneity([rng.normal(0.1, 1, 100) for _ in range(3)]) for _ in range(400)]
    assert 0.02 < np.mean([p is not None and p < 0.05 for p in ps]) < 0.09
    apart = homogeneity([rng.normal(mean, 1, 100) for mean in (0, 0, 1)])
    assert apart is not None and apart < 1e-6
    assert homogeneity([np.zeros(5), np.ones(5)]) is None and homogeneity([np.zeros(1)]) is None


def test_an_interval_that_cannot_vary_is_clopper_and_pearsons_on_programs() -> None:
    cluster = np.repeat(np.arange(40), 5)
    nothing = clustered_interval(np.zeros(200), cluster, seed=0)
    exact = stats.binomtest(0, 40).proportion_ci(method="exact")
    assert nothing is not None and (nothing.mean, nothing.low) == (0.0, 0.0)
    assert nothing.high == pytest.approx(exact.high) == pytest.approx(0.0881, abs=1e-4)
    everything = clustered_interval(np.ones(200), cluster, seed=0)
    assert everything is not None and (everything.mean, everything.high) == (1.0, 1.0)
    assert everything.low == pytest.approx(1 - exact.high)
    rare = clustered_interval(
        [1] + [0] * 39, np.zeros(40), seed=0
    )  # one program, of whose 40 questions one is right
    assert rare is not None and 0 < rare.low < 1e-6 < rare.mean == 1 / 40
    once = clustered_interval(
        ([1] + [0] * 39) * 40, np.repeat(np.arange(40), 40), seed=0
    )  # every program at 1/40
    single = stats.binomtest(1, 40).proportion_ci(method="exact")
    assert once is not None
    assert [once.low, once.high] == pytest.approx([single.low, single.high])
    halves = clustered_interval([1, 0] * 40, np.repeat(np.arange(40), 2), seed=0)  # every program at 0.5
    even = stats.binomtest(20, 40).proportion_ci(method="exact")
    assert halves is not None
    assert [halves.low, halves.high] == pytest.approx([even.low, even.high])


def test_one_program_says_next_to_nothing_and_no_data_nothing() -> None:
    one = clustered_interval([1.0] * 99 + [0.0], ["a"] * 100, seed=0)
    assert one is not None and one.mean == 0.99 and one.low < 0.03 and one.high > 0.97
    assert clustered_interval([], [], seed=0) is None
    assert paired_permutation([], [], [], seed=0) is None


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        clustered_interval([1.0, 0.0], ["a"], seed=0)


def test_the_same_seed_gives_the_same_interval_and_another_one_a_near_one() -> None:
    correct, cluster = _programs(
        np.random.default_rng(5), 500, 2
    )  # more programs than are kept between calls
    first, again = (clustered_interval(correct, cluster, seed=7) for _ in range(2))
    other = clustered_interval(correct, cluster, seed=8)
    assert first == again and first is not None and other is not None
    assert first != other and abs(first.low - other.low) < 0.01
    shuffled = np.random.default_rng(0).permutation(len(correct))
    assert clustered_interval(correct[shuffled], cluster[shuffled], seed=7) == first


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), min_size=1, max_size=30))
def test_an_interval_holds_its_mean_and_stays_in_range(data: list[tuple[str, bool]]) -> None:
    found = clustered_interval([c for _, c in data], [p for p, _ in data], seed=0, resamples=200)
    assert found is not None
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.low < found.high


def test_few_programs_are_permuted_exactly() -> None:
    cluster = ["a", "a", "b", "c", "d"]
    found = paired_permutation([1, 1, 1, 1, 0], [0, 1, 0, 0, 0], cluster, seed=0)
    # differences by program 0.5, 1, 1, 0: of 16 patterns the signs of the first three must agree, 2 of 8
    assert found is not None
    assert (found.difference, found.p, found.clusters) == (0.625, 0.25, 4)
    assert found.low <= 0.625 <= found.high


def test_a_pattern_that_is_as_extreme_but_for_rounding_counts() -> None:
    def thirds(*right: int) -> list[float]:
        return [float(k < count) for count in right for k in range(3)]

    found = paired_permutation(thirds(2, 0, 2, 1, 2), thirds(3, 0, 3, 2, 1), np.repeat(range(5), 3))
    # thirds by program -1, 0, -1, -1, 1: a sum of 2 or 4 to either side has 10 of the 16 patterns of four signs
    assert found is not None and found.p == 10 / 16


def test_thirteen_programs_are_the_most_that_are_permuted_exactly() -> None:
    for count, p in [(1, 1.0), (3, 0.25), (13, 2 / 2**13)]:
        found = paired_permutation([1] * count, [0] * count, range(count), seed=0, permutations=99)
        assert found is not None and found.p == p
    more = paired_permutation([1] * 14, [0] * 14, range(14), seed=0, permutations=99)
    assert more is not None and more.p == 1 / 100


def test_a_clear_difference_of_many_programs_is_found_and_its_p_is_not_zero() -> None:
    programs = np.arange(40)
    found = paired_permutation(np.ones(40), programs < 10, programs, seed=0, permutations=999)
    assert found is not None
    assert found.difference == 0.75 and found.p == pytest.approx(1 / 1000)
    assert 0.55 < found.low < 0.65 and 0.85 < found.high < 0.92
    swapped = paired_permutation(programs < 10, np.ones(40), programs, seed=0, permutations=999)
    assert swapped is not None and (swapped.difference, swapped.p) == (-0.75, found.p)


def test_arms_that_agree_are_not_claimed_to_be_the_same_everywhere() -> None:
    found = paired_permutation([1, 0, 1] * 10, [1, 0, 1] * 10, np.arange(30), seed=0)
    unseen = 1 - 0.025 ** (1 / 30)
    assert found is not None and found.p == 1.0
    assert [found.low, found.high] == pytest.approx([-unseen, unseen])
    always = paired_permutation([1] * 30, [0] * 30, np.arange(30), seed=0)
    assert always is not None
    assert [always.low, always.high] == pytest.approx([1 - 2 * unseen, 1.0])


def test_p_values_are_uniform_where_nothing_differs_and_questions_share_a_program() -> None:
    rng = np.random.default_rng(2)
    ps = []
    for _ in range(200):
        a, cluster = _programs(rng, 12, 10)
        b, _ = _programs(rng, 12, 10)
        found = paired_permutation(a, b, cluster, seed=0, resamples=10)
        assert found is not None
        ps.append(found.p)
    assert 0.005 <= np.mean(np.array(ps) <= 0.05) <= 0.1


def test_holm_steps_down_and_never_decreases() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([0.02, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


def _cell(shares: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    cluster = np.repeat(np.arange(len(shares)), 8)
    return (rng.random(len(cluster)) < np.repeat(shares, 8)).astype(float), cluster


def test_a_ratio_is_of_the_means_and_shares_its_draws_of_programs() -> None:
    rng = np.random.default_rng(4)
    hard = rng.random(60)
    control, ceiling = _cell(hard * 0.1, rng), _cell(0.2 + hard * 0.7, rng)
    found = ratio_interval(
        ceiling, control, ceiling, seed=0
    )  # an arm that is its ceiling, program for program
    assert found is not None
    assert found.ratio == 1.0
    assert found.low is not None and found.high is not None and found.low < 1.0 <= found.high
    half = ratio_interval(((ceiling[0] + control[0]) / 2, control[1]), control, ceiling, seed=0)
    assert half is not None and half.ratio == pytest.approx(0.5)


def test_the_interval_of_a_ratio_covers_its_truth() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(200):
        skill = rng.random(40)
        cells = [_cell(share * skill + shift, rng) for share, shift in ((0.5, 0.1), (0.1, 0.0), (0.8, 0.2))]
        found = ratio_interval(*cells, seed=0, resamples=500)
        assert found is not None and found.low is not None and found.high is not None
        covered += found.low <= (0.35 - 0.05) / (0.6 - 0.05) <= found.high
    assert 0.9 <= covered / 200 <= 0.99


def test_a_ratio_uses_the_programs_that_all_three_have() -> None:
    found = ratio_interval(([1, 1, 0], [1, 2, 9]), ([0, 0, 1], [1, 2, 8]), ([1, 1, 0], [1, 2, 7]), seed=0)
    assert found is not None and (found.ratio, found.clusters) == (1.0, 2)
    assert ratio_interval(([1], [1]), ([0], [2]), ([1], [3]), seed=0) is None


def test_a_program_that_one_of_the_three_lacks_does_not_count() -> None:
    arm, control = ([1, 1, 0, 0], [1, 2, 3, 4]), ([0, 0, 0, 1], [1, 2, 3, 5])
    found = ratio_interval(arm, control, ([1, 1, 1, 1], [1, 2, 4, 5]), seed=0)
    assert found is not None and (found.ratio, found.clusters) == (1.0, 2)
    low, high = found.low, found.high
    alone = ratio_interval(([1, 1], [1, 2]), ([0, 0], [1, 2]), ([1, 1], [1, 2]), seed=0)
    assert alone is not None and (alone.low, alone.high) == (low, high)


def test_the_interval_of_a_ratio_is_the_bootstrap_of_whole_programs() -> None:
    arm, others = ([1, 1, 1, 0, 0], ["a", "a", "a", "b", "c"]), ["a", "b", "c"]
    control, ceiling = ([0, 0, 0], others), ([1, 1, 1], others)
    # Of 27 equally likely draws of programs, 8 have no a (ratio 0), 12 one (3/5), 6 two (6/7), 1 three (1).
    for level, low, high in [(0.95, 0, 1), (0.9, 0, 6 / 7), (0.5, 0, 6 / 7), (0.42, 0, 0.6)]:
        found = ratio_interval(arm, control, ceiling, seed=3, resamples=20_000, level=level)
        assert found is not None and found.ratio == pytest.approx(0.6)
        assert [found.low, found.high] == pytest.approx([low, high])
    for seed in range(8):  # the ends are draws, and no values between two
        few = ratio_interval(arm, control, ceiling, seed=seed, resamples=10)
        assert few is not None and few.low is not None and few.high is not None
        for end in (few.low, few.high):
            assert min(abs(end - atom) for atom in (0, 0.6, 6 / 7, 1)) < 1e-9
    rng = np.random.default_rng(1)
    skill = rng.random(80)
    cells = [(values, np.arange(80)) for values in (0.5 * skill, 0.1 * skill, 0.3 + 0.6 * skill**2)]
    half = ratio_interval(*cells, seed=0, level=0.5)
    drawn = rng.integers(80, size=(2000, 80))
    means = [values[drawn].mean(axis=1) for values, _ in cells]
    expected = np.quantile((means[0] - means[1]) / (means[2] - means[1]), [0.25, 0.75])
    assert half is not None
    assert [half.low, half.high] == pytest.approx(expected, abs=0.15 * float(np.ptp(expected)))


def test_a_ratio_without_room_is_none_and_with_hardly_any_has_no_ends() -> None:
    programs = np.arange(20)
    zeros, ones = (np.zeros(20), programs), (np.ones(20), programs)
    assert ratio_interval(ones, zeros, zeros, seed=0) is None
    assert ratio_interval(zeros, ones, zeros, seed=0) is None
    hardly = ratio_interval(ones, zeros, ((programs == 0).astype(float), programs), seed=0)
    assert hardly is not None and hardly.ratio == pytest.approx(20)
    assert (hardly.low, hardly.high) == (None, None)


def test_a_ratio_that_cannot_vary_has_the_width_of_its_arm() -> None:
    programs = np.arange(40)
    zeros, ones = (np.zeros(40), programs), (np.ones(40), programs)
    found = ratio_interval(zeros, zeros, ones, seed=0)
    assert found is not None and (found.ratio, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(0.0881, abs=1e-4)
    # an arm that is its ceiling, above a control that is the same everywhere: each draw gives 1
    arm, low = (programs % 4 / 4, programs), (np.full(40, 0.125), programs)
    same = ratio_interval(arm, low, arm, seed=5, resamples=300, level=0.8)
    ends = clustered_interval(*arm, seed=5, resamples=300, level=0.8)
    assert same is not None and ends is not None and same.ratio == 1.0
    assert [same.low, same.high] == pytest.approx([(ends.low - 0.125) / 0.25, (ends.high - 0.125) / 0.25])


def test_pass_at_k_is_the_share_of_subsets_with_a_right_one() -> None:
    for n, c, k in [(1, 0, 1), (5, 2, 1), (5, 2, 3), (6, 1, 6), (10, 3, 4), (4, 4, 2), (8, 6, 3)]:
        assert pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k))
    for n, c, k in [(3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)]:
        with pytest.raises(ValueError, match="pass@k needs"):
            pass_at_k(n, c, k)
