"""When a checkpoint counts: it is sealed once every byte of it is on the disk, and training goes on from sealed ones only.

Trainer writes the files of a checkpoint one after the other and leaves it to the system when they reach the disk: after a power cut
any of them may be empty or cut, whichever was written last. So each file is synced, then a list of their sizes and digests is, and only
then the checkpoint before it is removed: one that is whole is there at every moment, and no more than two need room. The journals beside
(metrics.jsonl), which only grow, are sealed up to where they were: what they said before a checkpoint is not said again after it.

Contract: `seal` after a checkpoint is written; `newest` gives the newest that is whole, or None, and removes what is not.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SEAL = "sealed.json"


def seal(checkpoint: Path, journals: Sequence[Path] = ()) -> None:
    """Make a checkpoint durable and write its seal, by file its bytes and sha256; then remove the other checkpoints beside it.

    journals: files that lie beside the folder of checkpoints and will only grow from here on.
    """
    told = {}
    for path in [*_files(checkpoint), *(path for path in journals if path.exists())]:
        sync(path)
        size = path.stat().st_size
        told[os.path.relpath(path, checkpoint)] = {"bytes": size, "sha256": _digest(path, size)}
    replace(checkpoint / SEAL, json.dumps(told))
    sync(checkpoint.parent)
    _remove_others(checkpoint.parent, checkpoint)


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder, the only one that is left there.

    What is not whole is removed: nothing can continue from it, and a checkpoint of the same step must not be written over it.
    """
    whole = [path for path in folder.glob("checkpoint-*") if _whole(path)]
    found = max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    _remove_others(folder, found)
    return found


def replace(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a power cut, sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    os.replace(temporary, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _whole(checkpoint: Path) -> bool:
    """Whether the seal is there and every file begins with (a file of the checkpoint: is) what it was when it was sealed."""
    try:
        told = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        return bool(told) and all(_same(checkpoint / name, name, was) for name, was in told.items())
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return False


def _same(path: Path, name: str, was: Any) -> bool:
    size = path.stat().st_size
    grown = name.startswith("..") and size >= was["bytes"]
    return bool((size == was["bytes"] or grown) and _digest(path, was["bytes"]) == was["sha256"])


def _digest(path: Path, size: int) -> str:
    """sha256 of the first `size` bytes of a file."""
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (piece := file.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def _files(checkpoint: Path) -> list[Path]:
    return [path for path in sorted(checkpoint.rglob("*")) if path.is_file() and path.name != SEAL]


def _remove_others(folder: Path, kept: Path | None) -> None:
    for path in folder.glob("checkpoint-*"):
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)
