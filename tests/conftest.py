"""What many test files share: a small program set, a tokenizer trained on its documents, and a model of two layers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

import pbb
from pbb.errors import PbbError

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from pbb.programs.program import Program

# For `mutmut run`, where every mutant costs a run of the tests: few examples, the same each time, and no search for the smallest.
settings.register_profile(
    "mutation",
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
)

Refused = Callable[..., AbstractContextManager[None]]
Python = Callable[..., str]


@pytest.fixture(scope="session")
def refused() -> Refused:
    """`with refused("part", ...)`: the block ends in a PbbError of one line that has all parts in it."""

    @contextmanager
    def check(*parts: str) -> Iterator[None]:
        with pytest.raises(PbbError) as caught:
            yield
        message = str(caught.value)
        assert "\n" not in message
        assert [part for part in parts if part not in message] == [], message

    return check


@pytest.fixture(scope="session")
def python() -> Python:
    """`python("code", hash_seed=1)`: what the code prints in a fresh process with that PYTHONHASHSEED."""

    def run(code: str, *arguments: str, hash_seed: int) -> str:
        environment = {**os.environ, "PYTHONPATH": str(Path(pbb.__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment | {"PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainer's arguments find two GPUs, as they do where a process sees two; what is computed stays on the CPU."""
    from functools import cached_property

    from transformers import TrainingArguments

    resolved = vars(TrainingArguments)["_setup_devices"]

    def found(self: TrainingArguments) -> object:
        device = resolved.func(self)
        self._n_gpu = 2
        return device

    pretended = cached_property(found)
    pretended.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", pretended)


@pytest.fixture(scope="session")
def programs() -> list[Program]:
    """24 w/ IO and 8 w/o IO programs of 1 to 3 statements, with 8 train and 6 held-out inputs each."""
    from pbb.programs.arithmetic import Dials
    from pbb.programs.random_arithmetic import random_arithmetic

    return random_arithmetic(seed=7, io=24, source_only=8, dials=Dials(), train_inputs=8, test_inputs=6)


@pytest.fixture(scope="session", params=["declared", "named"])
def composed(request: pytest.FixtureRequest) -> list[Program]:
    """14 w/ IO and 8 w/o IO programs, then 4 w/o IO and 5 w/ IO composites of them, declared or only named."""
    from pbb.programs.compose import Compose
    from pbb.programs.random_arithmetic import Arithmetic

    dials = Compose(io=5, source_only=4, form=request.param)
    data = Arithmetic(io=14, source_only=8, train_inputs=8, test_inputs=6, compose=dials)
    return data.programs(3, 5, lambda done, total, what: None)


@pytest.fixture(scope="session")
def texts(programs: list[Program]) -> list[str]:
    """Prompts and completions of every kind of document."""
    from pbb.documents.render import ASKS, declaration, execution, part, templates

    t, rng = templates("arithmetic"), random.Random(0)
    documents = []
    for p in programs:
        documents += [declaration(p, t, rng), declaration(p, t, rng, "prose"), part(p, t, rng)]
        documents += [execution(p, rng.choice(p.examples), ask, t, rng) for ask in ASKS for _ in range(3)]
    return [text for d in documents for text in (d.prompt, d.completion)]


@pytest.fixture(scope="session")
def tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    from pbb.models.tokenizer import train_tokenizer

    return train_tokenizer(texts)


@pytest.fixture(scope="session")
def tiny_llama(tokenizer: PreTrainedTokenizerFast) -> Callable[[int], LlamaForCausalLM]:
    """By seed, an untrained Llama of two layers and width 32 for `tokenizer`."""

    def make(seed: int = 0) -> LlamaForCausalLM:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                max_position_embeddings=512,
                tie_word_embeddings=True,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                bos_token_id=None,
                attn_implementation="eager",
            )
        )

    return make


@pytest.fixture(scope="session")
def model_folder(
    tokenizer: PreTrainedTokenizerFast,
    tiny_llama: Callable[[int], LlamaForCausalLM],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A Hugging Face folder with the model and its tokenizer; not to be changed."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_llama(0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
