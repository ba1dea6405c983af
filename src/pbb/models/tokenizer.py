"""The tokenizer of the embedded base: byte-level BPE in which every run of 1 to 3 digits is one token, as in Llama 3.

    " Zibdax"  " ="  "7"  " * "  "321"  "\\n    "   are one or two tokens each; any text round-trips through its bytes.

Text is cut by `PATTERN` before merging: indentation with its line break, an operator with both its spaces, digits by threes, a
word with its leading space, one-letter variables without it (so that `x` is the same token everywhere).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PATTERN = r"\n *| [-+*/%=<>!]+ |\d{1,3}| ?[A-Za-z]{2,}|[A-Za-z]| ?[^\sA-Za-z\d]+|\s"
SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>")
VOCABULARY = 2048
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
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.model_max_length = 512
    return fast
