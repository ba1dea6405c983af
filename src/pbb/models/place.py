"""Where a model lies, without importing any library of models: the command line and the step hashes need no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pbb.errors import PbbError

EMBEDDED = {name: Path(__file__).parent / name for name in ("base", "base-strings")}
"""The models that come with pbb: one of arithmetic, and one of strings besides."""
BASE = EMBEDDED["base"]
SMALL = 32_000_000  # bytes of weights


def local(name: str) -> Path | None:
    """The folder (or GGUF file) of a model that is on this machine by its own name; None for `smollm2` and hub ids.

    Raises:
        PbbError: the name is neither one of `EMBEDDED` nor `smollm2`, nor a model folder, a GGUF file, nor a hub id.
    """
    if name in EMBEDDED:
        return EMBEDDED[name]
    if name == "smollm2":
        return None
    if Path(name).is_dir():
        if not (Path(name) / "config.json").exists():
            raise PbbError(f"model: {name}: the folder has no config.json: give a Hugging Face model folder")
        return Path(name)
    if name.endswith(".gguf") and Path(name).is_file():
        return Path(name)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith(".gguf"):
        return None
    raise PbbError(
        f"model: {name!r}: neither {', '.join(EMBEDDED)}, smollm2, a model folder, a GGUF file, nor a hub id such as owner/name"
    )


def folder(name: str) -> Path:
    """The folder that a model is loaded from; what is not on this machine yet is fetched or unpacked first.

    Raises:
        PbbError: there is no such model, or it can't be had here and now.
    """
    if name == "smollm2":
        from pbb.models.smollm2 import folder as smollm2

        return smollm2()
    here = local(name)
    if here is None:
        from pbb.models.hub import snapshot

        return snapshot(name)
    if here.is_file():
        from pbb.models.gguf import folder as unpacked

        return unpacked(here)
    return here


def small(name: str) -> bool:
    """Whether a model is of the size of those that come with pbb, so that as many train side by side as there are cores."""
    if name in EMBEDDED:
        return True
    if name == "smollm2":
        return False
    weights = list(Path(name).glob("*.safetensors")) if Path(name).is_dir() else []
    return 0 < sum(path.stat().st_size for path in weights) <= SMALL


def architecture(name: str, folder: Path) -> dict[str, Any]:
    """The configuration of the model in a folder, once it is one that transformers can run without code of the model's own.

    Raises:
        PbbError: there is none that can be read, or transformers does not know it as a causal language model.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise PbbError(
            f"model: {name}: its config.json names no model_type or cannot be read: get the folder again"
        ) from error
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as KNOWN

    if kind not in KNOWN:
        own = " (code that comes with a model is never run)" if "auto_map" in config else ""
        raise PbbError(
            f"model: {name}: architecture {kind!r} is no causal language model that transformers {__version__} knows{own}: "
            "choose one such as llama, qwen2, qwen3, gemma2, mistral or gpt_neox"
        )
    return dict(config)
