"""One phrasing of all questions, whether or not it was trained on: what augmentation is for is to be understood in others.

Contract: of each list of prompts one is left, so that the questions are the same in every arm; responses are as they were, since they are
the model's to choose.
"""

from __future__ import annotations

from typing import Any

from pbb.documents.render import Templates, templates
from pbb.errors import PbbError


def in_phrasing(whole: Templates, number: int) -> Templates:
    """The pointer of that number, from 1, alone; instructions have fewer phrasings, and are counted from the first again.

    Raises:
        PbbError: there are not so many.
    """
    if not 1 <= number <= len(whole.pointers):
        raise PbbError(f"evaluation.phrasing: {number}: 1 to {len(whole.pointers)} exist")
    return whole.model_copy(
        update={
            "pointers": [whole.pointers[number - 1]],
            "instructions": {k: [v[(number - 1) % len(v)]] for k, v in whole.instructions.items()},
        }
    )


def asked_in(config: dict[str, Any]) -> Templates:
    """The phrasings that an evaluation of that configuration asks in: those of the recipe, or the one that it names."""
    whole, number = templates(config["phrasings"]), config["evaluation"].get("phrasing")
    return whole.cut(**config["templates"]) if number is None else in_phrasing(whole, number)
