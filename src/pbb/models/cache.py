"""Folders that are made once on a machine and then used by every run: $PBB_CACHE, by default ~/.cache/pbb.

Contract: `once` gives a complete model folder, made under a lock by whoever came first, or an error and no folder at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pbb.errors import PbbError

NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def once(what: str, name: str, make: Callable[[Path, Path], None]) -> Path:
    """The cache's folder `name`; where it is not there or not whole, `make(out, scratch)` writes it at `out`.

    Raises:
        PbbError: the cache cannot be written, or what `make` raises; `what` begins the line.
    """
    target = cached(name)
    cache = target.parent
    if complete(target):
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / f"{name}.lock"), tempfile.TemporaryDirectory(dir=cache) as scratch:
            if not complete(target):  # another process may have made it while this one waited
                made = Path(scratch) / "model"
                make(made, Path(scratch))
                shutil.rmtree(target, ignore_errors=True)
                made.rename(target)
    except OSError as error:
        raise PbbError(
            f"{what}: {cache}: cannot be written ({error}): make room (2 GB) or name a folder in PBB_CACHE"
        ) from error
    return target


def cached(name: str) -> Path:
    """Where the cache's folder `name` is, or will be."""
    return Path(os.environ.get("PBB_CACHE") or "~/.cache/pbb").expanduser() / name


def complete(path: Path) -> bool:
    """Whether a folder holds all that a model needs."""
    return all((path / name).exists() for name in NEEDED)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go by the system, also when this process is killed
        yield
