"""The tables of the page: every score with what it takes to doubt it, ratios, paired tests, and the cost of
each step.

Contract: a table is columns and groups of rows of ready text; a column that no row fills is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pbb.report.scoreboard import (
    GROUP_ORDER,
    Row,
    Scoreboard,
    arm_label,
    ask_label,
    group_label,
    order,
    percent,
)

EMPTY = "–"


@dataclass(frozen=True)
class Column:
    """`read` turns a row into the text of its cell; `help` is what the column means."""

    label: str
    read: Callable[[Row], str]
    help: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[Column]
    groups: list[tuple[str, list[list[str]]]]


def number(value: float | int | None, digits: int = 1) -> str:
    return EMPTY if value is None else f"{value:.{digits}f}"


def count(value: float | int | None) -> str:
    """12345 as "12 345" with narrow spaces."""
    return EMPTY if value is None else f"{value:,.0f}".replace(",", "\u202f")


def share(name: str) -> Callable[[Row], str]:
    return lambda row: EMPTY if row.get(name) is None else f"{100 * row[name]:.1f}"


def signed(name: str) -> Callable[[Row], str]:
    return lambda row: EMPTY if row.get(name) is None else f"{100 * row[name]:+.1f}".replace("-", "−")


def interval(low: str, high: str, scale: float = 100.0, digits: int = 1) -> Callable[[Row], str]:
    """An end that is missing beside the other lies without bound (of a ratio whose denominator may be nothing)."""

    def read(row: Row) -> str:
        ends = row.get(low), row.get(high)
        if ends == (None, None):
            return EMPTY
        below, above = (f"{scale * end:.{digits}f}" if end is not None else "∞" for end in ends)
        return f"{'-' * (ends[0] is None)}{below} to {above}".replace("-", "−")

    return read


def duration(seconds: float | None) -> str:
    if seconds is None:
        return EMPTY
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def size(octets: float | None) -> str:
    if not octets:
        return EMPTY
    return f"{octets / 2**30:.2f} GiB" if octets >= 2**30 else f"{octets / 2**20:.0f} MiB"


def probability(name: str) -> Callable[[Row], str]:
    def read(row: Row) -> str:
        p = row.get(name)
        if p is None:
            return EMPTY
        return "<0.001" if p < 0.001 else f"{p:.3f}"

    return read


def _pass_at(k: int) -> Callable[[Row], str]:
    ends = interval("low", "high")

    def read(row: Row) -> str:
        found = [part for part in row.get("pass_at_k") or [] if part["k"] == k]
        return f"{share('accuracy')(found[0])} ({ends(found[0])})" if found else EMPTY

    return read


def build(caption: str, columns: list[Column], rows: list[Row], head: Callable[[Row], str]) -> Table | None:
    """Rows grouped under `head`, in the order given; None for no rows. One seed only: no column of seeds."""
    if not rows:
        return None
    used = [column for column in columns if any(column.read(row) != EMPTY for row in rows)]
    if len({str(row.get("seed")) for row in rows}) == 1:
        used = [column for column in used if column.label != "seed"]
    groups = [(name, [[c.read(row) for c in used] for row in part]) for name, part in groupby(rows, key=head)]
    return Table(caption, used, groups)


_SPLITS = {"train": "training inputs", "test": "held-out inputs", "none": "recall"}
SCORES = [
    Column("asked", lambda row: ask_label(row["ask"]), numeric=False),
    Column("seed", lambda row: str(row["seed"])),
    Column(
        "accuracy",
        share("accuracy"),
        "share of questions answered with the very value, type included, in percent",
    ),
    Column("95 % interval", interval("low", "high"), "bootstrap clustered on programs"),
    Column(
        "constant",
        share("constant"),
        "what the commonest answer of each program would earn, picked by these very calls",
    ),
    Column("guess", share("guess"), "what the commonest answer of a program's other calls would earn"),
    Column("echo", share("echo"), "what giving back an argument of the call would earn, at most"),
    Column("unechoed", share("unechoed"), "accuracy on the calls that do not give an argument back"),
    Column("95 % of these", interval("unechoed_low", "unechoed_high"), "bootstrap clustered on programs"),
    Column("recall", share("recall"), "the source that it wrote equals the true one exactly"),
    Column("form", share("recall_form"), "the same, equal up to formatting"),
    Column(
        "given recall",
        share("given_recall"),
        "accuracy where the source was recalled: what is lost in executing",
    ),
    Column("planted", share("planted"), "agrees with the planted wrong program"),
    Column("lenient", share("lenient"), "equal when tuple = list and 1 = 1.0"),
    Column(
        "no answer", share("parse_failures"), "parse failures: nothing in the text could be read as an answer"
    ),
    Column("cut off", share("unfinished"), "the text reached its limit of tokens"),
    Column("n", lambda row: count(row.get("n"))),
    Column("programs", lambda row: count(row.get("programs"))),
]


def score_tables(board: Scoreboard) -> tuple[list[Table], list[Table]]:
    """(by group what speaks for each cell on held-out inputs; all else: single seeds, training inputs)."""
    first, rest = [], []
    several = len(board.seeds) > 1
    ks = sorted({part["k"] for row in board.rows for part in row.get("pass_at_k") or []})
    sampled = [
        Column(f"pass@{k}", _pass_at(k), f"any of {k} sampled answers is right, with its 95 % interval")
        for k in ks
    ]
    columns = [*SCORES[:-2], *sampled, *SCORES[-2:]]
    for group in sorted({row["group"] for row in board.rows}, key=lambda name: order(name, GROUP_ORDER)):
        rows = [row for row in board.sorted_rows() if row["group"] == group]
        main = [row for row in rows if row["split"] != "train" and (not several or row["seed"] == "all")]
        other = [row for row in rows if row not in main]
        name = group_label(group)
        first.append(
            build(f"{name} programs, held-out inputs", columns, main, lambda row: arm_label(row["arm"]))
        )
        rest.append(
            build(
                f"{name} programs, single seeds and training inputs",
                columns,
                other,
                lambda row: f"{arm_label(row['arm'])}, {_SPLITS.get(row['split'], row['split'])}",
            )
        )
    return [table for table in first if table], [table for table in rest if table]


def ratio_table(board: Scoreboard) -> Table | None:
    controls = sorted(
        {arm_label(row.get("control_arm") or "the control arm") for row in board.part("ratios")}
    )
    columns = [
        Column("asked", lambda row: ask_label(row["ask"]), numeric=False),
        Column("programs", lambda row: group_label(row["group"]), numeric=False),
        Column("seed", lambda row: str(row["seed"])),
        Column("control", share("control"), f"accuracy of {' or '.join(controls)}, in percent"),
        Column("ceiling", share("ceiling"), "accuracy with the source in the prompt, in percent"),
        Column(
            "PBB ratio",
            lambda row: number(row.get("ratio"), 2).replace("-", "−"),
            "(arm − control) / (ceiling − control): 0 is no better than the control, 1 as good as reading",
        ),
        Column("95 % interval", interval("low", "high", 1.0, 2)),
    ]
    return build("PBB ratio", columns, board.part("ratios"), lambda row: arm_label(row["arm"]))


def language_table(board: Scoreboard) -> Table | None:
    """Strings that the model made up by itself, held against the grammars."""
    columns = [
        Column("programs", lambda row: group_label(row["group"]), numeric=False),
        Column("seed", lambda row: str(row["seed"])),
        Column("in the language", share("member"), "% of the samples; what can't be read counts as outside"),
        Column("95 % interval", interval("low", "high")),
        Column(
            "random strings",
            share("random"),
            "% of random strings of the same letters and lengths in the language",
        ),
        Column("distinct", share("distinct"), "different strings of the language, in % of the samples"),
        Column("rules used", share("coverage"), "% of the grammar's rules that they use"),
        Column("planted", share("planted"), "% in the language of the planted grammar"),
        Column("unread", share("parse_failures")),
        Column("n", lambda row: count(row.get("n")), "samples"),
    ]
    rows = [row for arm in board.arms() for row in board.part("languages") if row["arm"] == arm]
    return build(
        "Any string of a grammar, at temperature 1", columns, rows, lambda row: arm_label(row["arm"])
    )


def composition_table(board: Scoreboard) -> Table | None:
    """Composites beside their parts asked alone."""
    columns = [
        Column("asked", lambda row: ask_label(row["ask"]), numeric=False),
        Column("programs", lambda row: group_label(row["group"]), numeric=False),
        Column("seed", lambda row: str(row["seed"])),
        Column("first part", share("first"), "accuracy of the first program alone, in percent"),
        Column("second part", share("second"), "accuracy of the second program alone, in percent"),
        Column(
            "expected", share("expected"), "mean over composites of the product of their parts' accuracies"
        ),
        Column("composite", share("accuracy"), "accuracy of the composites, in percent"),
        Column("difference", signed("difference"), "composite less expected, in percentage points"),
        Column("95 % interval", interval("low", "high")),
        Column(
            "n", lambda row: count(row.get("programs")), "composites both of whose parts were asked alone"
        ),
    ]
    rows = [row for arm in board.arms() for row in board.part("compositions") if row["arm"] == arm]
    return build("Composites and their parts", columns, rows, lambda row: arm_label(row["arm"]))


def paired_table(board: Scoreboard) -> Table | None:
    columns = [
        Column("asked", lambda row: ask_label(row["ask"]), numeric=False),
        Column(
            "programs",
            lambda row: f"{group_label(row['group'])}, {_SPLITS.get(row['split'], row['split'])}",
            numeric=False,
        ),
        Column("seed", lambda row: str(row["seed"])),
        Column("difference", signed("difference"), "in percentage points"),
        Column("95 % interval", interval("low", "high")),
        Column("p", probability("p")),
        Column("Holm p", probability("p_holm"), "corrected within a way of asking"),
        Column("n", lambda row: count(row.get("programs")), "programs that both arms were asked about"),
    ]
    pairs = {(row["arm_a"], row["arm_b"]): None for row in board.part("tests")}
    rows = [row for pair in pairs for row in board.part("tests") if (row["arm_a"], row["arm_b"]) == pair]
    return build(
        "Paired permutation tests",
        columns,
        rows,
        lambda row: f"{arm_label(row['arm_a'])} against {arm_label(row['arm_b'])}",
    )


def curve_table(board: Scoreboard, curve: str, group: str) -> Table | None:
    """The pairs that a curve's figure of a group puts beside each other."""
    columns = [
        Column("asked", lambda row: ask_label(row["ask"]), numeric=False),
        Column(
            "difference", signed("difference"), "in percentage points, on the same questions of all seeds"
        ),
        Column("95 % interval", interval("low", "high")),
        Column("p", probability("p"), "paired permutation test over programs"),
        Column("Holm p", probability("p_holm"), "corrected within this figure and way of asking"),
        Column("n", lambda row: count(row.get("programs")), "programs that both arms were asked about"),
    ]
    mine = [row for row in board.part("curve_tests") if (row["curve"], row["group"]) == (curve, group)]
    pairs = {(row["arm_a"], row["arm_b"]): None for row in mine}
    return build(
        "Differences between its arms",
        columns,
        [row for pair in pairs for row in mine if (row["arm_a"], row["arm_b"]) == pair],
        lambda row: f"{arm_label(row['arm_a'])} against {arm_label(row['arm_b'])}",
    )


def hypotheses_table(board: Scoreboard) -> Table | None:
    """What the recipe claimed before the run, with the verdict."""
    columns = [
        Column("claim", lambda row: str(row["says"]), numeric=False),
        Column("asked", lambda row: f"{ask_label(row['ask'])}, {group_label(row['group'])}", numeric=False),
        Column(
            "verdict", lambda row: str(row["verdict"]), "by Holm p against the recipe's alpha", numeric=False
        ),
        Column("difference", signed("difference"), "in percentage points"),
        Column("95 % interval", interval("low", "high")),
        Column("Holm p", probability("p_holm"), "corrected over the recipe's claims"),
        Column("n", lambda row: count(row.get("programs")), "programs"),
        Column(
            "by seed", _by_seed, "differences; p of their being one, where that is below 0.05", numeric=False
        ),
    ]
    return build(
        "Claims of the recipe, held against the run",
        columns,
        board.part("hypotheses"),
        lambda row: f"{arm_label(row['arm'])} above {arm_label(row['above'])}",
    )


def _by_seed(row: Row) -> str:
    differences = row.get("by_seed")
    if not differences:
        return EMPTY
    apart = row.get("p_seeds")
    told = ", ".join(f"{100 * float(d):+.1f}" for d in differences.values())
    return told if apart is None or apart >= 0.05 else f"{told}: seeds disagree (p = {apart:.1g})"


def break_even_table(board: Scoreboard) -> Table | None:
    """How many executions reach what one source gives, and how many sources pay back what learning to read them took."""

    def many(name: str) -> Callable[[Row], str]:
        def read(row: Row) -> str:
            if row[name] is None:
                return f"> {row['largest']:g}"
            below = "≤ " if row[name] == row.get("smallest", 0) > 0 else ""
            return below + number(row[name])

        return read

    def ends(row: Row) -> str:
        return f"{many('low')(row)} to {many('high')(row)}"

    def pays(row: Row) -> str:
        if row["executed"] is None:
            return "both have that"
        if row["pays_after"] is None:
            return f"< {row['executed'] / row['largest']:.0f}" if row["at"] is None else "never"
        return f"{row['pays_after']:.0f}"

    columns = [
        Column("asked", lambda row: ask_label(row["ask"]), numeric=False),
        Column("level", lambda row: percent(row["level_accuracy"], 1), "accuracy of the arm to be reached"),
        Column("reached at", many("at"), "executions of a program, between settings along log(1 + n)"),
        Column("95 % interval", ends),
        Column("executed", lambda row: count(row["executed"]), "calls of other programs that the level's stages execute, and the line's do not"),
        Column("pays after", pays, "programs read, if those executions are counted in"),
    ]  # fmt: skip
    return build(
        "Executions that are worth one source",
        columns,
        board.part("break_even"),
        lambda row: f"{row['line']}, to reach {arm_label(row['level'])}",
    )


def cost_table(scores: dict[str, Any]) -> Table | None:
    def exposures(row: Row) -> str:
        """`group` or `group kind` -> documents a program."""
        told = []
        for key, value in (row.get("exposures") or {}).items():
            group, _, kind = key.partition(" ")
            told.append(f"{group_label(group)}{kind and ' '}{kind} {number(value)}")
        return ", ".join(told) or EMPTY

    columns = [
        Column("step", lambda row: str(row.get("label") or row.get("step") or EMPTY), numeric=False),
        Column("time", lambda row: duration(row.get("seconds"))),
        Column("tokens", lambda row: count(row.get("tokens"))),
        Column("optimizer steps", lambda row: count(row.get("optimizer_steps"))),
        Column("exposures", exposures, "documents about each program of a group"),
        Column("peak memory", lambda row: size(row.get("peak_bytes"))),
    ]
    steps = (scores.get("cost") or {}).get("steps") or []
    kinds = sorted({step["kind"] for step in steps}, key=[step["kind"] for step in steps].index)
    rows = [step for kind in kinds for step in steps if step["kind"] == kind]
    return build("Every step of the run", columns, rows, lambda row: str(row["kind"]))
