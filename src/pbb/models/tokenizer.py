"""The tokenizer of the embedded base: byte-level BPE in which every run of 1 to 3 digits is one token, as in Llama 3.

    " Zibdax"  " ="  "7"  " * "  "321"  "\\n    "   are one or two tokens each; any text round-trips through its bytes.

Text is cut by `PATTERN` before merging: indentation with its line break, an operator with both its spaces, digits by threes, a
word with its leading space, one-letter variables without it (so that `x` is the same token everywhere), and the letters before a closing
quote one by one: a model that is to spell must see letters.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PATTERN = r"[A-Za-z](?=[A-Za-z]*')|\n *| [-+*/%=<>!]+ |\d{1,3}| ?[A-Za-z]{2,}|[A-Za-z]| ?[^\sA-Za-z\d]+|\s"
SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>")
VOCABULARY = 2048
GROWN = 2240
"""Size of the vocabulary once the words of the string families are in it."""
# Why so often: every number of up to three digits must win its place in the vocabulary.
NUMBER_COUNT = 200
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}<|assistant|>{{ m.content }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def numbers() -> Iterator[str]:
    """All 1,110 strings of one to three digits."""
    for width in (1, 2, 3):
        for n in range(10**width):
            yield f"{n:0{width}d}"


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn the merges from texts (and all numbers); deterministic in the texts' order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )

    def corpus() -> Iterator[str]:
        for _ in range(NUMBER_COUNT):
            yield from numbers()
        yield from texts

    tokenizer.train_from_iterator(corpus(), trainer)
    return _fast(tokenizer)


def _fast(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.model_max_length = 512
    return fast


def grow(
    tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], kept: Iterable[str]
) -> PreTrainedTokenizerFast:
    """Go on merging, by what is frequent in `texts`, up to `GROWN` tokens; nothing in `kept` is read otherwise than before.

    Every token so far plays a letter: it is mapped to a character of its own, and merges over those are learned as from any text.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    letter = {t: chr(0xF0000 + i) for t, i in vocabulary.items()}
    spelled = {c: t for t, c in letter.items()}
    words = Counter(tuple(w) for text in texts for w in _words(tokenizer, text))
    taken = {p for text in kept for w in _words(tokenizer, text) for p in pairwise(w)}
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=2 * GROWN, initial_alphabet=sorted(spelled), show_progress=False)
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s"), behavior="removed")
    learner.train_from_iterator(
        (" ".join(["".join(letter[t] for t in w)] * n) for w, n in sorted(words.items())), trainer
    )
    for left, right in json.loads(learner.to_str())["model"]["merges"]:
        a, b = ("".join(spelled[c] for c in part) for part in (left, right))
        if len(vocabulary) == GROWN:
            break
        if (a, b) in taken or a + b in vocabulary or not (a in vocabulary and b in vocabulary):
            continue
        vocabulary[a + b] = len(vocabulary)
        state["model"]["merges"].append([a, b])
    return _fast(Tokenizer.from_str(json.dumps(state)))


def _words(tokenizer: PreTrainedTokenizerFast, text: str) -> Iterator[list[str]]:
    """The tokens of each piece that the pattern cuts from a text."""
    backend = tokenizer.backend_tokenizer
    for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text):
        yield [t.value for t in backend.model.tokenize(piece)]
