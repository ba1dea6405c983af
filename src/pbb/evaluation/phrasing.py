"""One phrasing of all questions, whether or not it was trained on: what augmentation is for is to be understood in others.

Contract: of each list of prompts one is left, so that the questions are the same in every arm; responses are as they were, since they are
the model's to choose.
"""

from __future__ import annotations

from pbb.documents.render import Templates
from pbb.errors import PbbError


def in_phrasing(templates: Templates, number: int) -> Templates:
    """The pointer of that number, from 1, alone; instructions have fewer phrasings, and are counted from the first again.

    Raises:
        PbbError: there are not so many.
    """
    if not 1 <= number <= len(templates.pointers):
        raise PbbError(f"evaluation.phrasing: {number}: 1 to {len(templates.pointers)} exist")
    return templates.model_copy(
        update={
            "pointers": [templates.pointers[number - 1]],
            "instructions": {k: [v[(number - 1) % len(v)]] for k, v in templates.instructions.items()},
        }
    )
