"""The scores as the report reads them: an order for arms and ways of asking, one row a cell, and the
headline.

The words are those of the paper (arXiv 2506.18777). A cell is (arm, group, ask) on held-out inputs; with
several seeds the row pooled over seeds (`"seed": "all"`) speaks for the cell and the single seeds are its
points.
Contract: nothing is computed here that scores.json does not say; a missing score is None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

Row = dict[str, Any]

ARM_ORDER = ("untrained", "stage-1-only", "stage-2-only", "mixed", "wrong-source", "proactive")
ASK_ORDER = ("direct", "trace", "recite", "in-context-direct", "in-context-trace", "recall")
GROUP_ORDER = ("source_only", "source_only_composed", "io", "io_composed")

ARM_LABELS = {"stage-1-only": "stage 1 only", "stage-2-only": "stage 2 only", "wrong-source": "wrong source"}
ASK_LABELS = {"in-context-direct": "in-context, direct", "in-context-trace": "in-context, trace"}
GROUP_LABELS = {
    "source_only": "w/o IO",
    "io": "w/ IO",
    "source_only_composed": "w/o IO, composed",
    "io_composed": "w/ IO, composed",
}


def order(value: str, known: tuple[str, ...]) -> tuple[int, str]:
    """Sort key: the known ones in their order, then the others by name."""
    return (known.index(value) if value in known else len(known), value)


def arm_label(arm: str) -> str:
    return ARM_LABELS.get(arm, arm)


def ask_label(ask: str) -> str:
    return ASK_LABELS.get(ask, ask)


def group_label(group: str) -> str:
    return GROUP_LABELS.get(group, group)


def percent(value: float | None, digits: int = 0) -> str:
    """0.931 as "93 %", with a space that does not break; an en dash where there is no value.

    Only nothing is "0 %" and only all is "100 %": what would round to them is "<1 %" and ">99 %".
    """
    if value is None:
        return "–"
    edge = 0.5 * 10 ** -(digits + 2)
    if value in (0, 1):
        text = f"{100 * value:.0f}"
    elif value < edge:
        text = f"<{10.0**-digits:.{digits}f}"
    elif value > 1 - edge:
        text = f">{100 - 10.0**-digits:.{digits}f}"
    else:
        text = f"{100 * value:.{digits}f}"
    return f"{text}\u00a0%"


def held_out(ask: str) -> str:
    """The split that measures `ask` on what was not trained on; recall has no inputs and so no split."""
    return "none" if ask == "recall" else "test"


@dataclass(frozen=True)
class Scoreboard:
    """scores.json, read: `scores` is its content as parsed."""

    scores: dict[str, Any]

    @property
    def rows(self) -> list[Row]:
        return list(self.scores.get("scores") or [])

    def part(self, name: str) -> list[Row]:
        """One of the other lists: ratios, tests, diagnosis; empty where absent."""
        return list(self.scores.get(name) or [])

    @property
    def seeds(self) -> list[int]:
        return sorted({row["seed"] for row in self.rows if row["seed"] != "all"})

    @property
    def _arms(self) -> tuple[str, ...]:
        """The arms in their order: the known ones first, then as the scores, which follow the recipe, name them."""
        return (*ARM_ORDER, *dict.fromkeys(row["arm"] for row in self.rows))

    def arms(self, group: str | None = None) -> list[str]:
        found = {row["arm"] for row in self.rows if group in (None, row["group"])}
        return sorted(found, key=lambda arm: order(arm, self._arms))

    def asks(self, group: str | None = None) -> list[str]:
        found = {row["ask"] for row in self.rows if group in (None, row["group"])}
        return sorted(found, key=lambda ask: order(ask, ASK_ORDER))

    def sorted_rows(self) -> list[Row]:
        """Every score, in the order in which the page tells them."""
        arms = self._arms

        def key(row: Row) -> tuple[Any, ...]:
            seed = -1 if row["seed"] == "all" else row["seed"]
            group = order(row["group"], GROUP_ORDER)
            return (
                group,
                row["split"] == "train",
                order(row["arm"], arms),
                order(row["ask"], ASK_ORDER),
                seed,
            )

        return sorted(self.rows, key=key)

    def points(self, arm: str, group: str, ask: str) -> list[Row]:
        """The rows of single seeds for a cell on held-out inputs."""
        cell = (arm, group, ask, held_out(ask))
        found = [row for row in self.rows if (row["arm"], row["group"], row["ask"], row["split"]) == cell]
        return sorted((row for row in found if row["seed"] != "all"), key=lambda row: row["seed"])

    def cell(self, arm: str, group: str, ask: str) -> Row | None:
        """The row that speaks for a cell: pooled over seeds where there are several; None where it was not
        asked.
        """
        key = (arm, group, ask, held_out(ask), "all")
        for row in self.rows:
            if (row["arm"], row["group"], row["ask"], row["split"], row["seed"]) == key:
                return row
        return next(iter(self.points(arm, group, ask)), None)

    def accuracy(self, arm: str, group: str, ask: str) -> float | None:
        row = self.cell(arm, group, ask)
        return None if row is None else row.get("accuracy")

    @property
    def focus(self) -> str | None:
        """The arm that the page is about, that of the tests and the diagnosis, unless it is a control: compared with, never boasted of."""
        arms = {row["arm"] for row in self.rows if row["group"] == "source_only"}
        main = self.scores.get("main_arm", "proactive")  # scores before 0.11 do not say which
        return main if main in arms.difference(self.scores.get("controls") or []) else None

    def ceiling(self, ask: str) -> str:
        """The way of asking with the source in the prompt that bounds this one; none before 0.14, which did not say which."""
        return str((self.scores.get("ceilings") or {}).get(ask, ""))


def _answers(board: Scoreboard, arm: str) -> dict[str, float]:
    """Accuracy on w/o IO programs of each way of asking that does not show the source."""
    found = {ask: board.accuracy(arm, "source_only", ask) for ask in HOW}
    return {ask: value for ask, value in found.items() if value is not None}


def seeds_phrase(seeds: list[int]) -> str:
    words = ("no seed", "one seed", "two seeds", "three seeds", "four seeds", "five seeds")
    count = words[len(seeds)] if len(seeds) < len(words) else f"{len(seeds)} seeds"
    return f"{count} ({', '.join(map(str, seeds))})" if seeds else count


HOW = {"direct": "directly", "trace": "by trace", "recite": "by reciting"}
ASKED = {"direct": "directly", "trace": "for a trace", "recite": "to recite"}


def headline(board: Scoreboard) -> tuple[Markup, list[Markup]]:
    """The finding in one sentence, then those that keep it honest (guessing, ceiling, wrong source)."""
    strong = Markup("<strong>{}</strong>").format
    arm = board.focus
    if arm is None or not board.scores.get("reads", True) or not (answers := _answers(board, arm)):
        return Markup(
            "This run holds no arm that read the sources and was asked about them without being shown them."
        ), []
    ranked = sorted(answers, key=lambda ask: -answers[ask])
    best = board.cell(arm, "source_only", ranked[0]) or {}
    parts = [Markup("{} {}").format(strong(percent(answers[ask])), HOW[ask]) for ask in ranked[1:]]
    name = "the model" if arm == "proactive" else f"the model ({arm})"
    lead = Markup("After reading only their source, {} runs {} of held-out calls of {} programs {}").format(
        name, strong(percent(answers[ranked[0]])), best.get("programs") or "some", HOW[ranked[0]]
    )
    lead += Markup("").join(Markup(", {}").format(part) for part in parts)
    if "stage-1-only" in board.arms() and (control := _answers(board, "stage-1-only")):
        bound = "at most " if len(control) > 1 and max(control.values()) > 0 else ""
        lead += Markup("; without stage 2: {}{}").format(bound, strong(percent(max(control.values()))))
    return lead + Markup("."), _caveats(board, arm, ranked[0], best)


def _caveats(board: Scoreboard, arm: str, ask: str, best: Row) -> list[Markup]:
    said = []
    constant = best.get("constant")
    if constant is not None:
        guess, low = best.get("guess"), best.get("low") or 0.0
        text = "Answering every call of a program with its commonest answer would earn {}"
        if low <= (best.get("constant_high") or constant):
            known = guess is not None and low > (best.get("guess_high") or guess)
            text = (
                "This is not clearly more than the commonest answer of each program would earn, picked with all answers in view, {}"
                if known
                else "This is not clearly more than guessing: the commonest answer of each program would earn {}"
            )
        if guess is not None:
            text += "; that of its other calls, {}"
        said.append(
            Markup(text + ".").format(percent(constant), *([] if guess is None else [percent(guess)]))
        )
    above = board.ceiling(ask)
    ceiling = board.accuracy(arm, "source_only", above)
    if ceiling is not None:
        text = "With the source in its prompt the same model runs {} {}."
        said.append(Markup(text).format(percent(ceiling), HOW[above.removeprefix("in-context-")]))
    wrong = board.cell("wrong-source", "source_only", ask)
    if wrong is not None and wrong.get("planted") is not None:
        text = "Taught the sources under swapped names, it runs the planted program in {} of calls {}"
        text += " and the true one in {}."
        said.append(Markup(text).format(percent(wrong["planted"]), HOW[ask], percent(wrong["accuracy"])))
    if best.get("parse_failures") is not None:
        said.append(
            Markup("No answer could be read from {} of its texts, asked {}.").format(
                percent(best["parse_failures"], 1), ASKED[ask]
            )
        )
    return said
