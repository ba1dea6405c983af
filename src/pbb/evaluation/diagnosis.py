"""Names what went wrong, or did not: the signatures by which a run of Programming by Backprop fails, read
off its scores.

A table of accuracies says that an arm is at 0.2, not why. Each function below is one failure that the field
knows, the figures that would show it, and what to change. They read point estimates with their intervals
and nothing else; the thresholds are constants with their reasons, meant to be argued with.

Contract: the dict of `scores.json` in, one finding a signature out, in a fixed order; "cannot tell" where a
figure is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONTROLS = frozenset(
    {"untrained", "stage-1-only", "stage-2-only", "mixed", "wrong-source"}
    | {"skip-exposure", "execution-only", "read-only", "warm-only", "grpo-without-source"}
)
"""Arms that exist to be compared with: no claim is about them."""
ASKS = ("recite", "trace", "direct")
GROUPS = {
    "io": "w/ IO",
    "source_only": "w/o IO",
    "io_composed": "w/ IO composites",
    "source_only_composed": "w/o IO composites",
}
SPLITS = {"train": "training inputs", "test": "held-out inputs"}

FINE = 0.8
"""An accuracy that needs no excuse. In prototypes w/o IO followed w/ IO only above it; below, neither
verdict is fair."""
HALF = 0.5
"""w/o IO below half of w/ IO, or execution below half where the source was recalled: the step in between is
what fails, not a general weakness that both would share."""
POOR_RECALL = 0.5
"""Less than half of the sources written out on request: execution has nothing to run on."""
GAP = 0.2
"""A difference that matters where it is also beyond its intervals: about the widest half-interval of a
40-question cell."""
FORGOTTEN = 0.1
"""Loss of w/ IO accuracy in stage 2 worth acting on; too little replay was seen to cost more within
a few steps."""
UNPARSED = 0.05
"""A share of unreadable answers that could hide an effect of the size of a usual interval."""
ENOUGH_QUESTIONS = 4
"""Fewest questions a program to hold an accuracy against the best constant answer: with one question a
program that constant is always right, with two it is right half the time at the least."""
LENGTH_N = 20
"""Fewest questions of a length to compare it: below, an interval is wider than `GAP` on both sides."""


@dataclass(frozen=True)
class Finding:
    """What a signature came to: a verdict ("seen", "not seen", "cannot tell") and the figures, as a
    sentence."""

    verdict: str
    evidence: str


@dataclass(frozen=True)
class View:
    """The rows of one seed (or of all, pooled) with the arm that the run is about."""

    arm: str
    rows: Mapping[tuple[str, str, str, str], Mapping[str, Any]]

    def cell(self, group: str, split: str, ask: str, arm: str | None = None) -> Mapping[str, Any] | None:
        """The row of a cell, or None where it was not asked."""
        return self.rows.get((arm or self.arm, group, split, ask))

    def each_ask(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The ways of asking with their w/o IO row on held-out inputs, where there is one."""
        for ask in ASKS:
            row = self.cell("source_only", "test", ask)
            if row is not None:
                yield ask, row


def main_arm(arms: Sequence[str], readers: Sequence[str] | None = None) -> str | None:
    """The arm that a run is about: proactive, else its first arm that is no control (of `readers`, if any is), else its first."""
    if "proactive" in arms:
        return "proactive"
    others = [arm for arm in arms if arm not in CONTROLS]
    read = [arm for arm in others if arm in (readers or ())]
    return next(iter((*read, *others, *arms)), None)


def diagnose(scores: Mapping[str, Any]) -> list[dict[str, str]]:
    """One finding for every signature: {"signature", "verdict", "evidence", "advice"}; pooled seeds where
    there are any."""
    rows = scores["scores"]
    arm = scores.get("main_arm") or main_arm([row["arm"] for row in rows])
    chosen: dict[tuple[str, str, str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = (row["arm"], row["group"], row["split"], row["ask"])
        if key not in chosen or row["seed"] == "all":
            chosen[key] = row
    view = View(arm or "", chosen)
    findings = []
    for signature, look, advice in SIGNATURES:
        found = look(view)
        findings.append(
            {"signature": signature, "verdict": found.verdict, "evidence": found.evidence, "advice": advice}
        )
    return findings


def _verdict(shown: Sequence[tuple[bool, str]], missing: str) -> Finding:
    """Seen where any way of asking shows it, the figures of those that do first."""
    ordered = [figures for sign, figures in shown if sign] + [figures for sign, figures in shown if not sign]
    if not ordered:
        return Finding("cannot tell", _sentence([missing]))
    return Finding("seen" if any(sign for sign, _ in shown) else "not seen", _sentence(ordered))


def _sentence(parts: Sequence[str]) -> str:
    return "; ".join(parts) + "."


def _span(row: Mapping[str, Any], name: str = "accuracy") -> str:
    low, high = ("low", "high") if name == "accuracy" else (f"{name}_low", f"{name}_high")
    return f"{_percent(row[name])} ({100 * row[low]:.1f} to {100 * row[high]:.1f})"


def _percent(share: float, digits: int = 1) -> str:
    """0.931 as "93.1 %", as the tables of the page tell it, with a space that does not break."""
    return f"{100 * share:.{digits}f}\u00a0%"


def stage_one_without_transfer(view: View) -> Finding:
    """The model runs w/ IO programs on new inputs, and cannot run those it has only read."""
    shown: list[tuple[bool, str]] = []
    weak: list[str] = []
    for ask, without in view.each_ask():
        known = view.cell("io", "test", ask)
        if known is None:
            continue
        figures = f"{ask}: w/ IO {_span(known)}, w/o IO {_span(without)} on held-out inputs"
        if known["accuracy"] < FINE:
            weak.append(f"{figures}, and no verdict before w/ IO reaches {_percent(FINE, 0)}")
        else:
            shown.append((without["high"] < HALF * known["accuracy"], figures))
    missing = "w/ IO and w/o IO programs were not both asked on held-out inputs"
    return _verdict(shown, "; ".join(weak) or missing)


def memorised_pairs(view: View) -> Finding:
    """w/ IO programs are right on the inputs of their training and not on others: pairs were stored, no
    interpreter."""
    shown: list[tuple[bool, str]] = []
    for ask in ASKS:
        trained, held_out = view.cell("io", "train", ask), view.cell("io", "test", ask)
        if trained is None or held_out is None:
            continue
        figures = f"{ask}: w/ IO {_span(trained)} on training inputs, {_span(held_out)} on held-out ones"
        apart = trained["accuracy"] - held_out["accuracy"] >= GAP and trained["low"] > held_out["high"]
        shown.append((apart, figures))
    return _verdict(shown, "w/ IO programs were not asked on both training and held-out inputs")


def decay_with_length(view: View) -> Finding:
    """Short programs are run, long ones are not."""
    shown: list[tuple[bool, str]] = []
    for ask, row in view.each_ask():
        bins = sorted((b for b in row["by_length"] if b["n"] >= LENGTH_N), key=lambda b: b["length"])
        if len(bins) < 2:
            continue
        short, long = bins[0], bins[-1]
        figures = (
            f"{ask}: {_span(short)} at length {short['length']}, {_span(long)} at length {long['length']}"
        )
        apart = short["accuracy"] - long["accuracy"] >= GAP and short["low"] > long["high"]
        shown.append((apart, figures))
    return _verdict(shown, f"no two lengths of w/o IO programs have {LENGTH_N} questions each")


def recall_without_execution(view: View) -> Finding:
    """The source is written out as it should be, and then not followed."""
    shown: list[tuple[bool, str]] = []
    weak: list[str] = []
    for ask, row in view.each_ask():
        if row["recall_form"] is None or row["given_recall"] is None:
            continue
        recall, given = row["recall_form"], row["given_recall"]
        figures = f"{ask}: source recalled {_percent(recall)}, execution given recall {_percent(given)}"
        if recall < FINE:
            weak.append(f"{figures}, and no verdict before recall reaches {_percent(FINE, 0)}")
        else:
            shown.append((given < HALF, figures))
    missing = "the sources of w/o IO programs were not asked for or never recalled"
    return _verdict(shown, "; ".join(weak) or missing)


def forgetting(view: View) -> Finding:
    """Stage 2 costs what stage 1 taught: w/ IO programs are run worse than by the model before it."""
    shown: list[tuple[bool, str]] = []
    for ask in ASKS:
        before, after = view.cell("io", "test", ask, "stage-1-only"), view.cell("io", "test", ask)
        if before is None or after is None or view.arm == "stage-1-only":
            continue
        figures = f"{ask}: w/ IO {_span(before)} after stage 1, {_span(after)} after stage 2"
        lost = before["accuracy"] - after["accuracy"] >= FORGOTTEN and before["accuracy"] > after["high"]
        shown.append((lost, figures))
    return _verdict(shown, "w/ IO programs were not asked after stage 1 and after stage 2")


def unreadable_answers(view: View) -> Finding:
    """Wrong for the parser, not for the model: accuracies are then lower bounds."""
    cells = [
        row for key, row in view.rows.items() if key[0] == view.arm and row["parse_failures"] is not None
    ]
    if not cells:
        return Finding("cannot tell", "No question asked for a value.")
    worst = max(cells, key=lambda row: row["parse_failures"])
    where = f"{worst['ask']}, {GROUPS.get(worst['group'], worst['group'])}, {SPLITS.get(worst['split'], worst['split'])}"
    evidence = (
        f"At worst {_percent(worst['parse_failures'])} of the answers could not be read"
        f" and {_percent(worst['unfinished'])} were cut off ({where})."
    )
    return Finding("seen" if worst["parse_failures"] >= UNPARSED else "not seen", evidence)


def guessing(view: View) -> Finding:
    """The accuracy is what one constant a program would earn, picked by calls other than the one that is answered."""
    shown: list[tuple[bool, str]] = []
    weak: list[str] = []
    for ask, row in view.each_ask():
        figures = f"{ask}: w/o IO {_span(row)}, best constant answer {_span(row, 'constant')}, that of the other calls {_span(row, 'guess')}"
        if row["low"] > min(row["constant_high"], row["guess_high"]):
            shown.append((False, figures))
        elif _constant_is_fair(row):
            shown.append((True, figures))
        else:
            weak.append(f"{figures}, which fewer than {ENOUGH_QUESTIONS} questions a program make too good")
    return _verdict(shown, "; ".join(weak) or "w/o IO programs were not asked on held-out inputs")


def _constant_is_fair(row: Mapping[str, Any]) -> bool:
    return bool(row["n"] >= ENOUGH_QUESTIONS * row["programs"])


def source_never_learned(view: View) -> Finding:
    """The w/o IO sources did not get into the weights at all."""
    asked = view.cell("source_only", "none", "recall") or view.cell("source_only", "test", "recite")
    if asked is None or asked["recall_form"] is None:
        return Finding("cannot tell", "The sources of w/o IO programs were not asked for.")
    form, exact = asked["recall_form"], asked["recall"]
    evidence = f"{_percent(form)} of the w/o IO sources were written out ({_percent(exact)} to the letter)."
    return Finding("seen" if form < POOR_RECALL else "not seen", evidence)


def leaking_names(view: View) -> Finding:
    """With the wrong sources learned, the true programs are still run: something other than the source
    tells them."""
    shown: list[tuple[bool, str]] = []
    for ask in ASKS:
        row = view.cell("source_only", "test", ask, "wrong-source")
        before = view.cell("source_only", "test", ask, "stage-1-only")
        if row is None or (before is None and not _constant_is_fair(row)):
            continue
        floors = [row["constant_high"]] if _constant_is_fair(row) else []
        floor = max(floors + ([before["high"]] if before is not None else []))
        planted = "" if row["planted"] is None else f", {_span(row, 'planted')} on the planted one"
        figures = f"{ask}: wrong source {_span(row)} on the true program{planted}, no source {_percent(floor)} at most"
        shown.append((row["low"] > floor, figures))
    return _verdict(
        shown, "no arm with wrong sources was asked on held-out inputs beside something to hold it against"
    )


SIGNATURES = (
    (
        "stage 1 fine, w/o IO low",
        stage_one_without_transfer,
        "Give each declaration more phrasings, the name first, in the form of the later question; more"
        " exposures in stage 2; more w/ IO programs in stage 1 (their number drives transfer).",
    ),
    (
        "memorised pairs rather than an interpreter",
        memorised_pairs,
        "More w/ IO programs with fewer inputs each, more inputs, traces instead of direct answers.",
    ),
    (
        "decay with length",
        decay_with_length,
        "Ask with a chain of thought (recite or trace), train on longer w/ IO programs, or report by length.",
    ),
    (
        "recall without execution",
        recall_without_execution,
        "The source is there but not used: more executions in stage 1, recite before the trace; compare the"
        " in-context ceiling, which is low where arithmetic is what fails.",
    ),
    (
        "forgetting in stage 2",
        forgetting,
        "More replay of stage 1 in stage 2, a lower learning rate or fewer steps.",
    ),
    (
        "answers that cannot be parsed",
        unreadable_answers,
        "Read some generations in the report; allow more new tokens where they are cut off; else the form of"
        " an answer is not learned yet.",
    ),
    (
        "guessing",
        guessing,
        "Do not report this as execution; ask more programs and more inputs each, with more varied outputs.",
    ),
    (
        "never learned the source",
        source_never_learned,
        "More exposures of every declaration in stage 2, smaller batches, a higher learning rate; check that"
        " the recall question allows enough new tokens for a whole source.",
    ),
    (
        "the sources leak through the name or the phrasing",
        leaking_names,
        "Look for the body in names, phrasings or replay documents, and for w/o IO twins among the w/ IO"
        " programs.",
    ),
)
"""Every signature with the function that looks for it and the advice where it is seen."""
