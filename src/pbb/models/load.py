"""Models by name: the embedded base, SmolLM2, a folder, a GGUF file, or a hub id; and a dialogue as tokens.

A model is data here: weights are read from safetensors only, never from a pickle, which can run what it likes, and code that lies beside
them is not run.

The tokens of a document are the chat template's around prompt and completion, so that training and asking cannot differ; and the template
that is saved with a model says all that they were made by, so that programs of others ask as we do.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from pbb.errors import PbbError
from pbb.models.direct import supports
from pbb.models.fitness import mend
from pbb.models.place import architecture, folder
from pbb.models.plain import stepwise

if TYPE_CHECKING:
    from collections.abc import Sequence

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

# SmolLM2's own template puts a system message of twenty tokens before every question; ours is ChatML without it.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# The same where answers open with what tells the model that it has thought already.
THOUGHT = (
    "{%% for m in messages %%}<|im_start|>{{ m.role }}\n{%% if m.role == 'assistant' %%}{{ %(opening)s }}{%% endif %%}"
    "{{ m.content }}<|im_end|>\n{%% endfor %%}"
    "{%% if add_generation_prompt %%}<|im_start|>assistant\n{{ %(opening)s }}{%% endif %%}"
)
# Hybrids think unless they are told not to, and an answer would be cut before it came to anything.
UNTHINKING = "{%- set enable_thinking = false %}\n"
BEGIN = "{{ bos_token }}"
# Llama 3.2's template writes today's date into every prompt: the same run would be another one tomorrow.
DATE = "26 Jul 2024"
TODAY = datetime(2024, 7, 26)
DIRECTIVE = re.compile("%-?[aAwdbBmyYHIpMSfjUWuGVcxX]")
BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


def read_tokenizer(name: str, source: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a model's folder, as training needs it (see `pbb.models.fitness`); `name` is for messages.

    Raises:
        PbbError: it cannot be read, has no end token, or none to pad with.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except BROKEN as error:
        raise _unreadable(name, error) from error
    mend(tokenizer, name)
    if tokenizer.eos_token == "<|im_end|>":
        tokenizer.chat_template = _chatml(tokenizer)
    if tokenizer.chat_template is None:
        begin = BEGIN if list(tokenizer("x")["input_ids"])[:1] == [tokenizer.bos_token_id] else ""
        tokenizer.chat_template = begin + "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    own: Any = tokenizer.chat_template  # several, where a model has one for tools besides
    tokenizer.chat_template = (
        {name: settled(one) for name, one in own.items()} if isinstance(own, dict) else settled(own)
    )
    return tokenizer


def settled(template: str) -> str:
    """A chat template that any program renders as training does: on one day, and without thinking; itself where it asks for neither."""
    first = UNTHINKING if "enable_thinking" in template else ""
    if "date_string" in template:
        first += f"{{%- set date_string = {json.dumps(DATE)} %}}\n"
    if "strftime_now" in template:
        said = {d: TODAY.strftime(d) for d in sorted(set(DIRECTIVE.findall(template)))}
        made = "".join(f" | replace({json.dumps(d)}, {json.dumps(text)})" for d, text in said.items())
        first += f"{{%- macro strftime_now(format) %}}{{{{ format{made} }}}}{{% endmacro %}}\n"
    return template if template.startswith(first) else first + template


def _chatml(tokenizer: PreTrainedTokenizerBase) -> str:
    """ChatML that begins dialogues and opens answers as the model's own template does, if that does either."""
    begin = BEGIN if _begins(tokenizer) else ""
    opening = ""
    if "enable_thinking" in str(tokenizer.chat_template):
        try:
            _, _, opening = as_turn(tokenizer, "x").partition("<|im_start|>assistant\n")
        except Exception:  # see _begins
            opening = ""
    return UNTHINKING + begin + THOUGHT % {"opening": json.dumps(opening)} if opening else begin + CHATML


def _begins(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model's own template begins every dialogue with a token that stands nowhere else."""
    begin = tokenizer.bos_token
    if not begin or begin == "<|im_start|>" or tokenizer.chat_template is None:
        return False
    try:
        return as_turn(tokenizer, "x").startswith(begin)
    except Exception:  # a template is a program of others, and this one is about to be replaced
        return False


def _unreadable(name: str, error: Exception) -> PbbError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "model.safetensors" in str(error):
        reason = "it has no model.safetensors, and pickled weights (.bin, .pt) are not loaded: convert them"
    return PbbError(f"model: {name}: cannot be loaded ({reason}): check the name, the network, or the folder")


def load(name: str, *, on_gpu: bool = True) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer, in float32, on the GPU if there is one and `on_gpu`; without GPU eager attention (fused is slower at these lengths).

    Eager on a GPU as well where scores are capped, as Gemma 2's are: transformers leaves that out of the fused one.

    Raises:
        PbbError: the model is missing or cannot be read, its architecture is unknown or cannot be decoded, or its tokenizer has no end token or
            none to pad with.
    """
    # float32 storage, bfloat16 inside matrix products where the processor has them: half to three times the speed.
    torch.set_float32_matmul_precision("medium")
    place = folder(name)
    architecture(name, place)
    source = str(place)
    tokenizer = read_tokenizer(name, source)
    try:
        config: Any = AutoConfig.from_pretrained(source, trust_remote_code=False)
        capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=torch.float32,
            attn_implementation="sdpa" if torch.cuda.is_available() and not capped else "eager",
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except BROKEN as error:
        raise _unreadable(name, error) from error
    model, info = loaded
    if info["missing_keys"]:
        raise PbbError(
            f"model: {name}: its weights lack {sorted(info['missing_keys'])[0]} and perhaps more: get the folder again"
        )
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        raise PbbError(
            f"model: {name}: its tokenizer has more tokens than its embedding: get the folder again"
        )
    model.config.use_cache = False
    model = model.to("cuda") if on_gpu and torch.cuda.is_available() else model
    if not supports(model):
        stepwise(model, name, int(tokenizer.pad_token_id))
    return model, tokenizer


def autocast_pays() -> bool:
    """Whether training is faster with bfloat16 autocast: on a CPU with AVX-512 bf16 but no AMX, which rounds float32 factors by itself."""
    cpu = torch.cpu
    return (
        not torch.cuda.is_available() and cpu._is_avx512_bf16_supported() and not cpu._is_amx_tile_supported()
    )


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """Each prompt as a user's turn, up to where the model is to write."""
    texts = [as_turn(tokenizer, p) for p in prompts]
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"]) if texts else []


def as_turn(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    """A prompt as a user's turn, up to where the model is to write; the same on every day, and without thinking."""
    return str(
        tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
            date_string=DATE,
            strftime_now=TODAY.strftime,
        )
    )


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], completions: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """(prompt tokens, completion tokens with the end token): what the model reads, and what it learns to write."""
    if not prompts:
        return []
    ends = list(tokenizer(list(completions), add_special_tokens=False)["input_ids"])
    return [(p, c + [tokenizer.eos_token_id]) for p, c in zip(encode(tokenizer, prompts), ends, strict=True)]
