"""How long steps take: a guess from what they took elsewhere, until this machine has shown it; it orders the work and feeds the time left.

Contract: no outcome and no step's hash rests on it.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pbb import machine
from pbb.models import place

if TYPE_CHECKING:
    from pbb.graph import Step
    from pbb.recipe_stages import Stage

# What steps took on one of two cores (an LLM: on both) with AMX, and how many times as long without (of rollouts a guess): the geometric
# mean of three machines, on which the default recipe took 9 min 31 s, 5 min 56 s and 5 min 01 s (docs/hardware.md). Muon's part is that
# of one update; how it divides with AMX is a guess, their sum is not.
# SmolLM2's documents took 0.19 s (one or two statements, with AMX) to 0.33 s (up to six, without): between them.
SECONDS = {
    "document": {"base": 0.0087, "base-strings": 0.027, "smollm2": 0.25},
    "muon": {"base": 0.03, "base-strings": 0.03, "smollm2": 2.0},
    "rollout": {"base": 0.015, "base-strings": 0.03, "smollm2": 1.5},
    "question": {"base": 0.004, "base-strings": 0.013, "smollm2": 0.15},
}
WITHOUT_AMX = {"document": 0.82, "muon": 1.3, "rollout": 1.35, "question": 1.55}
SMOLLM2 = 134_515_008  # weights
GPU = 300.0  # times two cores, of models that are not small; unchecked
BELIEF = 30.0  # seconds of steps that must have run before they outweigh what was expected


def training(stage: Stage, documents: float, model: str) -> float:
    """Seconds of a stage that shows so many documents (or prompts), by the model of that name."""
    if stage.grpo:
        return stage.grpo.shown(math.ceil(documents)) * stage.grpo.group_size * _each("rollout", model)
    if stage.dpo:
        # drawn once, and trained on two of a group: two thirds of what GRPO takes
        return math.ceil(documents) * stage.dpo.group_size * _each("rollout", model) * 2 / 3
    updates = math.ceil(documents / stage.batch_size) if stage.optimizer == "muon" else 0
    again = 4 / 3 if stage.checkpointing else 1.0
    return again * documents * _each("document", model) + updates * _each("muon", model)


def answering(questions: int, model: str) -> float:
    """Seconds in which the model of that name answers so many questions."""
    return questions * _each("question", model)


def _each(what: str, model: str) -> float:
    """Seconds of one document, update of Muon, rollout or question; of a model that is not known by name as its weights are to SmolLM2's."""
    seconds = SECONDS[what]
    small = place.small(model)
    each = seconds.get(model, seconds["base" if small else "smollm2"])
    if not machine.amx():
        each *= WITHOUT_AMX[what]
    if small:
        return each
    return each * _weights(model) / SMOLLM2 / (GPU if machine.devices() else 1.0)


def _weights(model: str) -> int:
    """How many a model folder has; of what is yet to be had, or unpacked, as many as SmolLM2."""
    from pbb.estimate import shape

    return shape(Path(model)).weights if model != "smollm2" and Path(model).is_dir() else SMOLLM2


def shown(out: Path) -> dict[str, float]:
    """By kind of step, how many times as long as guessed they took in the runs of a folder: what this machine has shown so far."""
    took: dict[str, float] = defaultdict(lambda: BELIEF)
    guessed: dict[str, float] = defaultdict(lambda: BELIEF)
    for path in out.glob("*/*/events.jsonl"):
        for kind, seconds, guess in _ended(path):
            took[kind] += seconds
            guessed[kind] += guess
    return {kind: took[kind] / guessed[kind] for kind in took}


def _ended(events: Path) -> Iterator[tuple[str, float, float]]:
    """Kind, seconds and guess of each step that ran from start to end; lines that a killed run left half-written are passed over."""
    for line in events.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"expected"' in line:
            try:
                event = json.loads(line)
                kind, took, guess = (
                    event["step"].partition("-")[0],
                    float(event["seconds"]),
                    float(event["expected"]),
                )
            except (ValueError, LookupError, TypeError, AttributeError):
                continue
            if 0 <= took < math.inf and 0 <= guess < math.inf:  # nor is NaN
                yield kind, took, guess


def expected(steps: Iterable[Step], slower: Mapping[str, float]) -> dict[str, float]:
    """By hash: the seconds that steps will take where they are so many times as long as guessed."""
    return {step.hash: step.expected_seconds * slower.get(step.kind, 1.0) for step in steps}
