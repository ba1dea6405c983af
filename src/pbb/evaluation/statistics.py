"""Intervals and tests that respect how the data came about: programs are drawn, then questions about each.

Answers to questions about one program rise and fall together, so the program (with its seed) is the unit
everywhere: bootstraps redraw programs with all their questions, the permutation test flips whole programs.
(Cameron, Gelbach and Miller 2008 on cluster bootstraps; Chen et al. 2021 for pass@k.) The paper gives
single accuracies; these are ours.

Contract: arrays in, plain floats out; the same seed gives the same numbers in any process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.floating[Any]]
RESAMPLES = 2_000
PERMUTATIONS = 10_000
EXACT_UP_TO = 13
"""With so few programs all 2 ** programs sign patterns (at most 8,192) are enumerated instead of drawn."""
FEW = 10
_CHUNK = 2_000_000  # entries of a weight or sign matrix held at once
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A share in [0, 1] and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """The mean over programs of (a - b), its interval, and the two-sided p of its being zero."""

    difference: float
    low: float
    high: float
    p: float
    clusters: int


@dataclass(frozen=True)
class Ratio:
    """A PBB ratio; an end is None where the ceiling is too near the control to bound the ratio on that
    side."""

    ratio: float
    low: float | None
    high: float | None
    clusters: int


def clustered_interval(
    correct: npt.ArrayLike,
    cluster: npt.ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | None:
    """The mean of `correct` [n, each in 0..1] and its percentile bootstrap over `cluster` [n, program
    labels].

    No data: None. Where a bootstrap cannot vary, because there is one program only or because every program
    has the same mean (all wrong, all right), it would collapse to a point and 0 of 40 would claim [0, 0].
    There the interval is Clopper and Pearson's on the number of *programs*, with mean x programs successes:
    0 of 40 programs gives [0, 0.088] however many questions were asked, and one program gives nearly [0,
    1], since one program says nothing of how programs differ. Near to that, with fewer than `FEW` right or wrong answers that count as
    independent, a bootstrap is too narrow (1 right of 50 would be [0, 0.06]) and the interval is Korn and Graubard's (1998): Clopper and
    Pearson's on the questions divided by the design effect.
    """
    values, codes, count = _checked(correct, cluster)
    if not len(values):
        return None
    sums, sizes = (np.bincount(codes, weights).astype(np.float64) for weights in (values, None))
    mean = float(sums.sum() / sizes.sum())
    if np.all(np.abs(sums - mean * sizes) <= _ROUNDING * sizes):
        return Interval(mean, *_clopper_pearson(mean * count, count, level))
    effective = _effective(sums, sizes, mean, level)
    if min(mean, 1 - mean) * effective < FEW:
        return Interval(mean, *_clopper_pearson(mean * effective, effective, level))
    draws = resampled_means(values, codes, resamples=resamples, seed=seed)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))


def resampled_means(
    correct: npt.ArrayLike, cluster: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Floats:
    """[resamples] means of `correct` over programs drawn anew; cells of the same programs, in the same order and by one seed, are drawn alike."""
    values, codes, count = _checked(correct, cluster)
    sums, sizes = np.bincount(codes, values), np.bincount(codes)
    return np.concatenate([(w @ sums) / (w @ sizes) for w in _weights(count, resamples, seed)])


def paired_permutation(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    cluster: npt.ArrayLike,
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> PairedTest | None:
    """Compare two arms on the same questions: `a` and `b` [n] are their scores in 0..1, question for
    question.

    The statistic is the mean over programs of each program's mean difference. Under the null hypothesis the
    arms are exchangeable within a program, so the programs' signs are flipped: all patterns up to 13
    programs, else random ones with p = (1 + as extreme) / (1 + permutations), which is never 0. The
    interval is a percentile bootstrap over programs; where all programs differ by the same d it would be a
    point, so it is widened by the share u = 1 - (alpha/2)^(1/programs) of unseen programs that might go
    fully either way: [d - u(1 + d), d + u(1 - d)]. No data: None.
    """
    first, codes, count = _checked(a, cluster)
    second, _, _ = _checked(b, cluster)
    if not len(first):
        return None
    differences: Floats = np.bincount(codes, first - second) / np.bincount(codes)
    observed = float(differences.mean())
    extreme, tried = 0, 0
    for signs in _signs(count, permutations, seed):
        means = np.abs(signs @ differences) / count
        extreme += int((means >= abs(observed) - _ROUNDING).sum())
        tried += len(signs)
    p = extreme / tried if count <= EXACT_UP_TO else (1 + extreme) / (1 + tried)
    if np.ptp(differences) <= _ROUNDING:
        unseen = 1 - ((1 - level) / 2) ** (1 / count)
        low, high = observed - unseen * (1 + observed), observed + unseen * (1 - observed)
    else:
        draws = np.concatenate([(w @ differences) / count for w in _weights(count, resamples, seed)])
        low, high = (float(end) for end in np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]))
    return PairedTest(observed, low, high, p, count)


def homogeneity(groups: Sequence[Floats]) -> float | None:
    """The p of groups of differences, [programs] each, having one mean: Cochran's Q with the variance that the programs of a group show.

    None where a group has fewer than two programs, or programs that do not differ.
    """
    if any(len(group) < 2 or np.ptp(group) <= _ROUNDING for group in groups):
        return None
    means = np.array([group.mean() for group in groups])
    weights = np.array([len(group) / group.var(ddof=1) for group in groups])
    q = float((weights * (means - (weights @ means) / weights.sum()) ** 2).sum())
    return float(stats.chi2.sf(q, len(groups) - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p values, in the order given; they stay valid under any
    dependence."""
    adjusted = list(ps)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        running = max(running, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = running
    return adjusted


def ratio_interval(
    arm: tuple[npt.ArrayLike, npt.ArrayLike],
    control: tuple[npt.ArrayLike, npt.ArrayLike],
    ceiling: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Ratio | None:
    """PBB ratio (arm - control) / (ceiling - control); each argument is (correct [n], cluster [n]), n its
    own.

    Only programs that all three have are used, and one draw of programs serves all three, so what makes a
    program hard cancels. None where no program is shared or the ceiling is not above the control. A draw
    whose ceiling is not above its control could mean any ratio and counts as the worst on both sides; an
    end that such draws reach is None. Where every draw gives the same ratio (an arm at 0 of 40 beside a
    control at 0), the arm's `clustered_interval` is put through the ratio instead, the other two held
    fixed.
    """
    cells = [(np.asarray(values), np.asarray(labels)) for values, labels in (arm, control, ceiling)]
    shared = reduce(np.intersect1d, [labels for _, labels in cells])
    if not len(shared):
        return None
    kept, counted = [], []
    for values, labels in cells:
        inside = np.isin(labels, shared)
        kept.append((values[inside], labels[inside]))
        codes = np.searchsorted(shared, labels[inside])
        counted.append((np.bincount(codes, values[inside]), np.bincount(codes)))
    means = [float(sums.sum() / sizes.sum()) for sums, sizes in counted]
    span = means[2] - means[1]
    if span <= _ROUNDING:
        return None
    ratio = (means[0] - means[1]) / span
    lows, highs = [], []
    for w in _weights(len(shared), resamples, seed):
        drawn = [(w @ sums) / (w @ sizes) for sums, sizes in counted]
        room = drawn[2] - drawn[1]
        defined = room > _ROUNDING
        ratios = (drawn[0] - drawn[1]) / np.where(defined, room, 1.0)
        lows.append(np.where(defined, ratios, -np.inf))
        highs.append(np.where(defined, ratios, np.inf))
    low = float(np.quantile(np.concatenate(lows), (1 - level) / 2, method="lower"))
    high = float(np.quantile(np.concatenate(highs), (1 + level) / 2, method="higher"))
    if high - low <= _ROUNDING:
        ends = clustered_interval(*kept[0], resamples=resamples, seed=seed, level=level)
        if ends is not None:
            low, high = (ends.low - means[1]) / span, (ends.high - means[1]) / span
    return Ratio(ratio, low if np.isfinite(low) else None, high if np.isfinite(high) else None, len(shared))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that at least one of `k` samples is right, from `c` right ones among `n` (Chen et al.
    2021).

    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, got n={n} c={c} k={k}")
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def _checked(correct: npt.ArrayLike, cluster: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.intp], int]:
    """Values as floats, clusters as codes 0..count-1 in order of their labels, and that count."""
    values = np.asarray(correct, dtype=np.float64)
    labels = np.asarray(cluster)
    if values.shape != labels.shape or values.ndim != 1:
        raise ValueError(
            f"scores {values.shape} and clusters {labels.shape} must be two lists of the same length"
        )
    names, codes = np.unique(labels, return_inverse=True)
    return values, codes, len(names)


def _effective(sums: Floats, sizes: Floats, mean: float, level: float) -> float:
    """How many independent questions say as much of the mean as these of `len(sums)` programs, whose means differ; after Korn and Graubard."""
    programs, questions = len(sums), float(sizes.sum())
    variance = float(((sums - mean * sizes) ** 2).sum()) / questions**2 * programs / (programs - 1)
    tail = (1 + level) / 2
    freedom = stats.t.ppf(tail, questions - 1) / stats.t.ppf(tail, programs - 1)
    return min(questions, mean * (1 - mean) / variance * float(freedom) ** 2)


def _clopper_pearson(successes: float, trials: float, level: float) -> tuple[float, float]:
    alpha = 1 - level
    low = 0.0 if successes <= 0 else float(stats.beta.ppf(alpha / 2, successes, trials - successes + 1))
    high = (
        1.0
        if successes >= trials
        else float(stats.beta.ppf(1 - alpha / 2, successes + 1, trials - successes))
    )
    return low, high


def _weights(count: int, resamples: int, seed: int) -> Sequence[npt.NDArray[np.float64]]:
    """How often each of `count` programs is drawn: [resamples, count], in chunks.

    Kept for the small counts that recur over the cells of a table; it makes a draw a matrix product.
    """
    return _kept_weights(count, resamples, seed) if count <= 200 else _drawn_weights(count, resamples, seed)


def _drawn_weights(count: int, resamples: int, seed: int) -> list[npt.NDArray[np.float64]]:
    rng = np.random.default_rng([seed, count])
    chunks = []
    rows = max(1, _CHUNK // count)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * count)
        chunks.append(counts.reshape(size, count).astype(np.float64))
    return chunks


@lru_cache(maxsize=32)
def _kept_weights(count: int, resamples: int, seed: int) -> list[npt.NDArray[np.float64]]:
    return _drawn_weights(count, resamples, seed)


def _signs(count: int, permutations: int, seed: int) -> Iterator[Floats]:
    """Sign patterns [rows, count] of -1 and 1, in chunks: every pattern for few programs, else random
    ones."""
    if count <= EXACT_UP_TO:
        yield 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return
    rng = np.random.default_rng([seed, count])
    rows = max(1, _CHUNK // count)
    for start in range(0, permutations, rows):
        yield 1.0 - 2.0 * rng.integers(2, size=(min(rows, permutations - start), count), dtype=np.int8)
