"""Tokenizers that would spoil the experiment are refused, those that cost accuracy are warned of, small faults are mended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from pbb.models.fitness import TEXT, mend, warnings

Refused = Callable[..., AbstractContextManager[None]]
CHAT = "{% for m in messages %}<|u|>{{ m.content }}<|turn|>{% endfor %}"


def made(pattern: str | None, numbers: list[str], **marks: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE over pieces that `pattern` cuts, which has learned these strings as tokens."""
    tokenizer = Tokenizer(models.BPE())
    cut = [pre_tokenizers.Split(Regex(pattern), behavior="isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|turn|>", "<|u|>", "<|free|>"]
    tokenizer.train_from_iterator(
        numbers * 5,
        trainers.BpeTrainer(
            vocab_size=1000 + len(numbers),
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks)


def test_single_digits_and_the_embedded_bases_threes_are_fine(tokenizer: PreTrainedTokenizerFast) -> None:
    assert warnings(made(r"\d", []), "digits") == []
    assert warnings(tokenizer, "threes") == []


def test_pieces_that_depend_on_the_digits_are_warned_of() -> None:
    (line,) = warnings(made(r"\d+|\D", ["12", "34", "123", "90"]), "odd")
    assert "model: odd" in line and "irregularly" in line and "\n" not in line


def test_digits_joined_to_signs_are_warned_of() -> None:
    lines = warnings(made(r"\(?\d|\D", ["(7"]), "joined")
    assert len(lines) == 1 and "'(7' is one token" in lines[0]


def test_lost_characters_and_lower_case_are_refused(refused: Refused) -> None:
    words = Tokenizer(models.WordLevel({"x": 0, "<unk>": 1}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with refused("model: words", "loses text"):
        warnings(PreTrainedTokenizerFast(tokenizer_object=words), "words")
    small = made(None, [])
    small.backend_tokenizer.normalizer = normalizers.Lowercase()
    with refused("model: small", "'def zibda"):
        warnings(small, "small")


def test_the_end_is_what_the_template_ends_answers_with() -> None:
    tokenizer = made(None, [], eos_token="<|end|>", pad_token="<|free|>")
    tokenizer.chat_template = CHAT
    mend(tokenizer, "chat")
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|turn|>", "<|free|>")
    plain = made(None, [], eos_token="<|end|>", pad_token="<|free|>")
    mend(plain, "plain")
    assert plain.eos_token == "<|end|>"


@pytest.mark.parametrize("pad", [{}, {"pad_token": "<|turn|>"}])
def test_padding_is_a_token_that_no_text_has(pad: dict[str, str]) -> None:
    tokenizer = made(None, [], eos_token="<|turn|>", bos_token="<|end|>", **pad)
    tokenizer.chat_template = CHAT
    mend(tokenizer, "chat")
    assert tokenizer.pad_token == "<|free|>"


def test_a_tokenizer_with_nothing_to_pad_with_is_refused(refused: Refused) -> None:
    bare = Tokenizer(models.BPE())
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="<|end|>")
    with refused("model: bare", "pad_token"):
        mend(tokenizer, "bare")


@pytest.mark.parametrize("template", ["{{ raise_exception('roles') }}", "hello", "{% for m in %}"])
def test_a_template_that_takes_no_dialogue_is_refused(template: str, refused: Refused) -> None:
    tokenizer = made(None, [], eos_token="<|end|>", pad_token="<|free|>")
    tokenizer.chat_template = template
    with refused("model: odd", "chat template"):
        mend(tokenizer, "odd")


def test_decoding_does_not_tidy_spaces() -> None:
    tokenizer = made(None, [], eos_token="<|end|>", pad_token="<|free|>", clean_up_tokenization_spaces=True)
    mend(tokenizer, "tidy")
    text = "x , y . don 't"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text and TEXT.count("\n") == 6
