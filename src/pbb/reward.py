"""What a rollout earns, stated once: 1 for the right value, 0 for anything else; a form counts only on top of a right value.

The value is read as the evaluation reads it (`pbb.evaluation.answer`) and held strictly against the value of the prompt's own
demonstration, which came from executing the program. Where a stage's `format_share` is s, a right value that is not given in the form
asked for earns 1 - s. Forms, by way of asking:

    direct   one line, which begins with the value
    trace    lines of working, then a last line with the answer; the source is not recited
    recite   the source first, behind no more than one opening line; then working and answer as in a trace

Like `pbb.steps` this joins rooms: documents and evaluation, for training.
"""

from __future__ import annotations

from collections.abc import Sequence

from pbb.documents.render import Document
from pbb.errors import PbbError
from pbb.evaluation.answer import Parsed, parse
from pbb.programs.equality import equal
from pbb.training.rollouts import Reward, RewardFunction

ABOVE = ("import ", "from ", "@", "#", '"', "'")
"""How a source begins that does not begin with its function."""


def rewards(documents: Sequence[Document], format_share: float) -> RewardFunction:
    """The reward of rollouts whose prompts are those of the documents, by their numbers.

    Raises:
        PbbError: a document is no execution, or its own completion has no answer to hold a rollout against.
    """
    truths = [_answer(d.completion, d) for d in documents]
    for d, truth in zip(documents, truths, strict=True):
        if d.kind != "execution" or not truth.ok:
            raise PbbError(f"training: {d.prompt!r} has no answer that can be verified: give executions only")

    def reward(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
        return [
            earned(documents[i], truths[i], text, format_share)
            for i, text in zip(prompts, texts, strict=True)
        ]

    return reward


def earned(d: Document, truth: Parsed, text: str, format_share: float) -> Reward:
    """What one rollout earns, and how unlike the demonstration it is."""
    said = _answer(text, d)
    right = said.ok and equal(said.value, truth.value, lenient=False)
    value = (1.0 if in_form(text, d) else 1.0 - format_share) if right else 0.0
    return Reward(value, said.text, str(truth.text), unlike(text, d.completion))


def in_form(text: str, d: Document) -> bool:
    """Whether a text answers in the form that the document asks for, right or wrong."""
    rows = text.strip().split("\n")
    if d.ask == "direct":
        return len(rows) == 1
    source = [row.startswith("def ") for row in rows]
    shown = d.completion.strip().split("\n")
    first = next((i for i, row in enumerate(shown) if row.startswith("def ")), None)
    if first is None:
        recited = not any(source)
    else:  # an opening line, and what stands above the function in its source
        above = first if shown[0].startswith(ABOVE) else first - 1
        recited = any(source[: max(above, 0) + 2])
    return recited and len(rows) > 1 and parse(rows[-1], cot=True).ok


def unlike(text: str, demonstration: str) -> float:
    """Of the lines that either has before its last, the share that not both have; 0 where neither has any."""
    a, b = (set(t.strip().split("\n")[:-1]) for t in (text, demonstration))
    return 1 - len(a & b) / len(a | b) if a | b else 0.0


def _answer(text: str, d: Document) -> Parsed:
    return parse(text, cot=d.ask != "direct")
