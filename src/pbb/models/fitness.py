"""Whether a tokenizer is fit for the experiment: how it ends, pads, and reads numbers; small faults are mended.

Refused is what no training can make up for: text that does not come back (dropped characters, lower case, eaten spaces or line breaks:
no source can be learned through it), no end (the model never stops). Warned of is what can be learned round, at a price:

    1234 is 12|34 and 1235 is 123|5     a number's pieces depend on its digits: sums have to be learned piece by piece
    "(7" is one token                   a number reads otherwise beside a bracket than alone

Digits one by one (SmolLM2, Qwen) or by threes (Llama 3, the embedded base) are both fine.

Mended are an end token that is not the one that the chat template ends answers with, padding that is the end token or missing
(a special token that no text has takes its place), and decoding that tidies spaces away.
"""

from __future__ import annotations

import random
from typing import Any

from transformers import PreTrainedTokenizerBase

from pbb.errors import PbbError

TEXT = "def Zibdax(x, y):\n    a = x * 3 - 17\n    if a >= 40:\n        return -a\n    return [a, 'QzT!', 'ö']\n\nAnswer: 10204"
CALLS = "Zib(7)=12*3+45-6,[8,90]:-1"


def mend(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Set the end and padding tokens that training needs.

    Raises:
        PbbError: the tokenizer has no end, or no token that could pad.
    """
    tokenizer.clean_up_tokenization_spaces = False
    if tokenizer.eos_token != "<|im_end|>" and (end := _turn_end(tokenizer, name)):
        tokenizer.eos_token = end
    if tokenizer.eos_token_id is None:
        raise PbbError(
            f"model: {name}: its tokenizer has no end token, so it can't learn to stop: set eos_token in the folder"
        )
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        spare = _spare(tokenizer, name)
        if spare is None:
            raise PbbError(
                f"model: {name}: its tokenizer pads with the end token and has no other that no text has: "
                "give it a pad_token of its own"
            )
        tokenizer.pad_token = spare


def warnings(tokenizer: PreTrainedTokenizerBase, name: str) -> list[str]:
    """What makes numbers harder than they need be, each in one line.

    Raises:
        PbbError: what is read does not come back as it was.
    """
    back = tokenizer.decode(tokenizer(TEXT, add_special_tokens=False)["input_ids"], skip_special_tokens=True)
    if back != TEXT:
        at = next(
            (i for i, (a, b) in enumerate(zip(TEXT, back, strict=False)) if a != b), min(len(TEXT), len(back))
        )
        wrote, read = TEXT[max(0, at - 8) : at + 8], back[max(0, at - 8) : at + 8]
        raise PbbError(
            f"model: {name}: its tokenizer loses text ({wrote!r} comes back as {read!r}), so no source can be learned "
            "through it: choose a model with a byte-level tokenizer"
        )
    found = []
    merged = [t for t in _pieces(tokenizer, CALLS) if any(c.isdigit() for c in t) and not t.strip().isdigit()]
    if merged:
        found.append(
            f"model: {name}: its tokenizer joins digits to other characters ({merged[0]!r} is one token): "
            "numbers read differently beside different signs, which costs accuracy"
        )
    rng = random.Random(0)
    for width in (2, 3, 4, 5):
        cuts: dict[tuple[int, ...], str] = {}
        for n in sorted(rng.sample(range(10 ** (width - 1), 10**width), 60)):
            pieces = [t.strip() for t in _pieces(tokenizer, f"x = {n}") if t.strip().isdigit()]
            cuts.setdefault(tuple(map(len, pieces)), "|".join(pieces))
        if len(cuts) > 1:
            first, second = list(cuts.values())[:2]
            found.append(
                f"model: {name}: its tokenizer cuts numbers irregularly ({first}, but {second}): arithmetic is harder "
                "to learn than with single digits or groups of three"
            )
            break
    return found


def _pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return [str(tokenizer.decode([i])) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]


def _special(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    added: dict[int, Any] = tokenizer.added_tokens_decoder
    return [t.content for _, t in sorted(added.items()) if t.special]


def _dialogue(tokenizer: PreTrainedTokenizerBase, name: str) -> str:
    """A question and its answer in the chat template; "" where there is none."""
    if tokenizer.chat_template is None:
        return ""
    turns = [{"role": "user", "content": "ASKED"}, {"role": "assistant", "content": "ANSWERED"}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except (
        Exception
    ) as error:  # a template is a program of others, in a sandbox of jinja's, and may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PbbError(
            f"model: {name}: its chat template does not take a question and an answer ({reason}): mend chat_template"
        ) from error
    if not 0 <= text.find("ASKED") < text.find("ANSWERED"):
        raise PbbError(f"model: {name}: its chat template leaves question or answer out: mend chat_template")
    return text


def _turn_end(tokenizer: PreTrainedTokenizerBase, name: str) -> str | None:
    """The special token that the chat template puts behind an answer."""
    rest = _dialogue(tokenizer, name).rpartition("ANSWERED")[2].lstrip()
    ends = [t for t in _special(tokenizer) if rest.startswith(t)]
    return max(ends, key=len, default=None)


def _spare(tokenizer: PreTrainedTokenizerBase, name: str) -> str | None:
    """A special token that stands in no dialogue, one that is called padding before others."""
    shown = _dialogue(tokenizer, name)
    free = [
        t
        for t in _special(tokenizer)
        if t not in (tokenizer.eos_token, tokenizer.bos_token) and t not in shown
    ]
    return min(free, key=lambda t: "pad" not in t.lower(), default=None)
