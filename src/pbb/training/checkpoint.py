"""When a checkpoint counts: it is sealed once every byte of it is on the disk, and training goes on from sealed ones only.

Trainer writes the files of a checkpoint one after the other and leaves it to the system when they reach the disk: after a power cut
any of them may be empty or cut, whichever was written last. So each file is synced, then a list of their sizes is, and only then the
checkpoint before it is removed: one that is whole is there at every moment, and no more than two need room.

Contract: `seal` after a checkpoint is written; `newest` gives the newest that is whole, or None, and removes what is not.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

SEAL = "sealed.json"


def seal(checkpoint: Path) -> None:
    """Make a checkpoint durable and write its seal, by file its size in bytes; then remove the other checkpoints beside it."""
    sizes = {}
    for path in _files(checkpoint):
        sync(path)
        sizes[path.relative_to(checkpoint).as_posix()] = path.stat().st_size
    replace(checkpoint / SEAL, json.dumps(sizes))
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
    """Whether the seal is there and every file has the size that it had when it was sealed."""
    try:
        sizes = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        return bool(sizes) and all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _files(checkpoint: Path) -> list[Path]:
    return [path for path in sorted(checkpoint.rglob("*")) if path.is_file() and path.name != SEAL]


def _remove_others(folder: Path, kept: Path | None) -> None:
    for path in folder.glob("checkpoint-*"):
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)
