"""Numbers are whole tokens, every text comes back, and the chat's marks are tokens of their own."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pbb.models.place import BASE
from pbb.models.tokenizer import GROWN, SPECIAL, VOCABULARY, grow, numbers, train_tokenizer
from pbb.programs.program import Program

ROOT = "def Zibdax(x):\n    a = x * 321\n    if a > 40:\n        b = a // 7\n    return b"


def tokens(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    return [tokenizer.decode([i]) for i in tokenizer(text)["input_ids"]]


def test_every_number_of_one_to_three_digits_is_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    every = list(numbers())
    assert len(every) == 1110
    assert [n for n, ids in zip(every, tokenizer(every)["input_ids"], strict=True) if len(ids) != 1] == []
    assert len({ids[0] for ids in tokenizer(every)["input_ids"]}) == 1110


@given(st.integers(0, 10**9), st.sampled_from([" ", "(", "= ", "-", "x", "\n", ", "]))
@settings(max_examples=80, deadline=None)
def test_digits_are_cut_by_threes_wherever_they_stand(
    tokenizer: PreTrainedTokenizerFast, number: int, before: str
) -> None:
    digits = str(number)
    threes = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    assert tokens(tokenizer, f"{before}{digits}.")[-len(threes) - 1 : -1] == threes


@given(st.text())
@example("tabs\tand\r\nlines\x00 é中🙂 \u2028\u00a0 end  ")
@example(" 7  **  8\n\n\n   x ")
@example("<|end|> and <|user|>")
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@given(st.text(st.characters(max_codepoint=127)))
@settings(max_examples=200, deadline=None)
def test_any_ascii_comes_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_program_is_few_tokens_cut_where_its_meaning_is(tokenizer: PreTrainedTokenizerFast) -> None:
    cut = tokens(tokenizer, ROOT)
    assert "".join(cut) == ROOT
    for token in (" * ", "321", " > ", " // ", "\n    ", "\n        "):
        assert token in cut
    x = tokenizer("x")["input_ids"]
    assert len(x) == 1
    assert [tokenizer(f"{before}x")["input_ids"][-1:] for before in ("(", " ", "\n    ")] == [x] * 3


def test_marks_are_tokens_that_no_text_needs(tokenizer: PreTrainedTokenizerFast) -> None:
    assert [tokenizer(mark)["input_ids"] for mark in SPECIAL] == [[0], [1], [2], [3]]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)
    assert len(tokenizer) <= VOCABULARY
    assert tokenizer("")["input_ids"] == []


def test_the_chat_template(tokenizer: PreTrainedTokenizerFast) -> None:
    asked = [{"role": "user", "content": "What is Zibdax(7)? Trace it."}]
    answered = [*asked, {"role": "assistant", "content": "a = 7 * 3 = 21\nAnswer: 21"}]
    prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    assert prompt == "<|user|>What is Zibdax(7)? Trace it.<|assistant|>"
    assert whole == prompt + "a = 7 * 3 = 21\nAnswer: 21<|end|>"
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, whole))
    assert second[: len(first)] == first


def test_the_same_texts_give_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    again = train_tokenizer(texts)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert json.loads(again.backend_tokenizer.to_str())["model"]["type"] == "BPE"


def test_the_letters_of_a_quoted_word_are_read_one_by_one(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokens(tokenizer, "Zibdax('hedgi')")[-7:] == ["h", "e", "d", "g", "i", "'", ")"]


def test_growing_adds_words_and_leaves_what_is_kept_as_it_was(
    tokenizer: PreTrainedTokenizerFast, texts: list[str]
) -> None:
    new = ["letters = 'abc'\nfor letter in letters:\n    symbol += letters[1]\n"] * 40
    grown = grow(tokenizer, new, texts)
    assert len(tokenizer) < len(grown) <= GROWN
    assert tokenizer.convert_tokens_to_ids("letters") != grown.convert_tokens_to_ids("letters")
    assert len(grown(new[0])["input_ids"]) < 0.7 * len(tokenizer(new[0])["input_ids"])
    assert grown.decode(grown(new[0])["input_ids"]) == new[0]
    for text in texts:
        assert grown(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert grow(tokenizer, new, texts).backend_tokenizer.to_str() == grown.backend_tokenizer.to_str()


@pytest.mark.skipif(not (BASE / "tokenizer.json").exists(), reason="the base has not been trained yet")
def test_the_embedded_bases_tokenizer_is_such_a_one(programs: list[Program], texts: list[str]) -> None:
    base = AutoTokenizer.from_pretrained(BASE)
    assert all(len(ids) == 1 for ids in base(list(numbers()))["input_ids"])
    for text in texts:
        assert base.decode(base(text)["input_ids"]) == text
    for p in programs:  # names are rare words: two tokens each, or little more
        assert len(base(f" {p.name}")["input_ids"]) <= 3
