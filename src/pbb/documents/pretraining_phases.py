"""The nine phases of the pretraining of the embedded models: what kinds of documents each has, and of what programs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pbb.programs.arithmetic import Dials


@dataclass(frozen=True)
class Phase:
    """`shares` by kind of document (see `pbb.documents.pretraining`); `prose`: how many of those in context and of the library are prose;
    `lengths`: how likely programs of 1, 2, 3 ... statements are; `dials`: what programs are drawn by."""

    shares: dict[str, float]
    prose: float
    lengths: tuple[int, ...]
    dials: Dials


# The numbers of all but the first are those of the default recipe, so that its arithmetic can be exact.
EXACT = Dials(length=(1, 3), input_range=(0, 29), bound=99, constants=(1, 9))
LONGER = replace(EXACT, length=(1, 5))
PHASES = (
    # Reading first: a quarter of the documents are the library's, and much is answered directly.
    Phase(
        shares={
            "in-context trace": 0.16,
            "in-context direct": 0.30,
            "in-context recite": 0.06,
            "in-context part": 0.04,
            "in-context source": 0.04,
            "drill": 0.14,
            "library": 0.13,
            "library part": 0.13,
        },
        prose=0.25,
        lengths=(3, 4, 3),
        dials=Dials(length=(1, 3)),
    ),
    # Then execution: what the first phase leaves inexact is copying and arithmetic.
    Phase(
        shares={
            "in-context trace": 0.30,
            "in-context direct": 0.22,
            "in-context recite": 0.10,
            "in-context part": 0.06,
            "in-context source": 0.02,
            "drill": 0.20,
            "library": 0.06,
            "library part": 0.04,
        },
        prose=0.12,
        lengths=(3, 4, 3),
        dials=EXACT,
    ),
    # Then execution without writing it down. Branches and loops stay guesses until what they consist of is taught by itself: how a test
    # comes out, and one step of a call (docs/lab-notes.md). Traces are few, since their many tokens drown the one of an answer.
    Phase(
        shares={
            "in-context trace": 0.06,
            "in-context direct": 0.33,
            "in-context step": 0.25,
            "in-context outcome": 0.20,
            "drill": 0.08,
            "library": 0.04,
            "library part": 0.04,
        },
        prose=0.06,
        lengths=(7, 3, 0),
        dials=replace(EXACT, weights={"if": 3.0, "for": 2.0, "abs": 0.4}),
    ),
    # All of it together, on programs as recipes draw them. No recitals here: how to recite is stage 1's to teach.
    Phase(
        shares={
            "in-context trace": 0.25,
            "in-context direct": 0.40,
            "in-context step": 0.06,
            "in-context outcome": 0.03,
            "in-context part": 0.04,
            "in-context source": 0.02,
            "drill": 0.08,
            "library": 0.06,
            "library part": 0.06,
        },
        prose=0.12,
        lengths=(4, 5, 1),
        dials=EXACT,
    ),
    # And more traces and arithmetic, until both ways are exact.
    Phase(
        shares={
            "in-context trace": 0.30,
            "in-context direct": 0.36,
            "in-context step": 0.06,
            "in-context outcome": 0.02,
            "in-context part": 0.04,
            "in-context source": 0.02,
            "drill": 0.12,
            "library": 0.04,
            "library part": 0.04,
        },
        prose=0.12,
        lengths=(3, 6, 1),
        dials=EXACT,
    ),
    # And letters: ciphers and grammars (`pretraining_strings`), beside as much of the last phase as keeps its arithmetic.
    Phase(
        shares={
            "strings": 0.6,
            "in-context trace": 0.12,
            "in-context direct": 0.14,
            "in-context step": 0.02,
            "in-context outcome": 0.01,
            "in-context part": 0.02,
            "in-context source": 0.01,
            "drill": 0.05,
            "library": 0.01,
            "library part": 0.02,
        },
        prose=0.12,
        lengths=(3, 6, 1),
        dials=EXACT,
    ),
    # In place of letters, from where the fifth left: longer programs and pairs, and traces until they are exact at every length.
    Phase(
        shares={
            "in-context trace": 0.34,
            "in-context direct": 0.24,
            "in-context step": 0.05,
            "in-context outcome": 0.02,
            "in-context part": 0.04,
            "in-context source": 0.02,
            "pair trace": 0.07,
            "pair recite": 0.03,
            "pair direct": 0.02,
            "drill": 0.11,
            "library": 0.03,
            "library part": 0.03,
        },
        prose=0.12,
        lengths=(3, 5, 4, 3, 1),
        dials=LONGER,
    ),
    # The same under names that keep no rule of their syllables: a model that has copied none but names of one shelf completes them.
    Phase(
        shares={
            "in-context trace": 0.34,
            "in-context direct": 0.18,
            "in-context step": 0.04,
            "in-context outcome": 0.02,
            "in-context part": 0.02,
            "in-context source": 0.02,
            "pair trace": 0.09,
            "pair recite": 0.05,
            "pair direct": 0.02,
            "order": 0.12,
            "drill": 0.06,
            "library": 0.02,
            "library part": 0.02,
        },
        prose=0.12,
        lengths=(3, 5, 4, 3, 1),
        dials=LONGER,
    ),
    # And more of pairs and traces, until the second name is copied as well as the first and traces are exact again.
    Phase(
        shares={
            "in-context trace": 0.36,
            "in-context direct": 0.17,
            "in-context step": 0.03,
            "in-context outcome": 0.02,
            "in-context part": 0.02,
            "in-context source": 0.02,
            "pair trace": 0.12,
            "pair recite": 0.06,
            "pair direct": 0.02,
            "order": 0.05,
            "drill": 0.07,
            "library": 0.03,
            "library part": 0.03,
        },
        prose=0.12,
        lengths=(3, 5, 4, 3, 1),
        dials=LONGER,
    ),
)
STRINGS, LONG, NAMES = 5, 6, 7
"""The phases of strings and of long programs, which both go on from where the fifth left, and the first of two of names that keep no rule."""
