"""A GGUF file as a model folder: unpacked to float32 safetensors, once.

transformers reads the file's weights and tokenizer, but refuses to save or to train on what it has read so: the weights move into a
fresh model of the same shape. Quantised weights are what they were rounded to; training starts from there.

Contract: `folder(file)` is a folder that `from_pretrained` loads, in the cache under the file's digest, or a PbbError.
"""

from __future__ import annotations

import copy
import hashlib
import struct
from pathlib import Path
from typing import Any

from pbb.errors import PbbError
from pbb.models.cache import once


def folder(file: Path) -> Path:
    """The folder; the first call takes a second for each five million parameters.

    Raises:
        PbbError: the file is no GGUF file, holds a shape that transformers does not read, or the cache cannot be written.
    """
    with file.open("rb") as f:
        if f.read(4) != b"GGUF":
            raise PbbError(f"model: {file}: no GGUF file: give one, or a Hugging Face model folder")
        f.seek(0)
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    return once(f"model: {file}", f"gguf-{digest[:16]}", lambda out, _: _unpack(file, out))


def _unpack(file: Path, out: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
        loaded = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype="float32", trust_remote_code=False
        )
    except (
        ValueError,
        LookupError,
        TypeError,
        RuntimeError,
        AttributeError,
        ImportError,
        struct.error,
    ) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PbbError(
            f"model: {file}: transformers cannot read this GGUF file ({reason}): take the model's own folder or hub id"
        ) from error
    for mark, token in _marks(file, tokenizer).items():
        setattr(tokenizer, mark, token)
    model = fresh(loaded)
    model.config.name_or_path = file.name
    model.save_pretrained(out, max_shard_size="100GB")
    tokenizer.save_pretrained(out)


def _marks(file: Path, tokenizer: Any) -> dict[str, str]:
    """The end, beginning and padding tokens as the file names them; transformers gets them wrong for some vocabularies."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    keys = {"eos_token": "eos", "bos_token": "bos", "pad_token": "padding"}
    found = {mark: fields.get(f"tokenizer.ggml.{key}_token_id") for mark, key in keys.items()}
    return {
        mark: tokenizer.convert_ids_to_tokens(int(f.contents())) for mark, f in found.items() if f is not None
    }


def fresh(loaded: Any) -> Any:
    """The same model without the memory of its quantisation, which would keep it from being saved."""
    config = copy.deepcopy(loaded.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict())
    return model
