"""A step's folder on disk: when it counts as finished, who may write in it, and what becomes of a damaged
one.

    train-3f9c0a1b77de/
      inputs.json   written first: kind, function, config, parents' folders, digest of the code
      ...           what the step writes: its outputs, metrics.jsonl, checkpoints/ to resume from, until DONE
      log.txt       all that the step and its libraries printed
      spent.json    seconds worked so far, over every attempt
      DONE          written last and atomically: seconds, peak_bytes, and size and sha256 of every output

Contract in one sentence: a folder is finished if and only if its DONE parses and every file that it lists is
there unchanged; nothing of an earlier attempt is ever deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

SMALL = (
    1_000_000  # bytes: larger outputs are read once a process, as long as the system says they are unchanged
)
NOT_OUTPUTS = frozenset({"DONE", "log.txt", "error.txt", "spent.json"})
RESUME_FROM = "checkpoints"  # removed once a step is done, and not before, so DONE does not list it


def write_atomically(path: Path, data: bytes) -> None:
    """Write so that a reader, or a power cut, sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The value, or None where there is no readable JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def state(folder: Path) -> Literal["done", "broken", "open"]:
    """Open: nothing there, or work that stopped before DONE; broken: a DONE that the contents contradict."""
    if not (folder / "DONE").exists():
        return "open"
    done = read_json(folder / "DONE")
    outputs = done.get("outputs") if isinstance(done, dict) else None
    if not isinstance(outputs, dict) or "inputs.json" not in outputs:
        return "broken"
    try:
        whole = all(_same(folder / name, was) for name, was in outputs.items())
    except (OSError, TypeError, ValueError):
        return "broken"
    return "done" if whole else "broken"


def listed_bytes(folder: Path) -> int:
    """The bytes that `state` reads to tell whether a folder is finished; 0 where its DONE says nothing."""
    done = read_json(folder / "DONE")
    outputs = done.get("outputs") if isinstance(done, dict) else None
    sizes = (
        [was.get("bytes") for was in outputs.values() if isinstance(was, dict)]
        if isinstance(outputs, dict)
        else []
    )
    return sum(size for size in sizes if isinstance(size, int))


def mark_done(folder: Path, facts: dict[str, Any]) -> None:
    """Make the outputs durable, then write DONE: `facts` and a description of every output."""
    outputs = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        temporary = path.name.startswith(".") and path.name.endswith(".tmp")
        if path.is_file() and str(name) not in NOT_OUTPUTS and name.parts[0] != RESUME_FROM and not temporary:
            _sync(path)
            outputs[name.as_posix()] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    write_json(folder / "DONE", {**facts, "outputs": outputs})


def adopt(finished: Path, folder: Path) -> bool:
    """Make `folder` what the finished folder is, where there is none yet: by links to its files, or copies where links cannot be.

    Checkpoints stay behind. False where `finished` is not what its DONE says, or another process came first.
    """
    if folder.exists() or state(finished) != "done":
        return False
    with open(_lock_of(folder), "a+") as file:
        return _try_lock(file.fileno()) and not folder.exists() and _linked(finished, folder)


def _linked(finished: Path, folder: Path) -> bool:
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    names = [Path(name) for name in read_json(finished / "DONE")["outputs"]]
    kept = [Path(name) for name in NOT_OUTPUTS if (finished / name).is_file()]
    try:
        for name in (*names, *kept):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(finished / name, temporary / name)
            except OSError:
                shutil.copy2(finished / name, temporary / name)
        os.rename(temporary, folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        return False
    _sync(folder.parent)
    return True


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def set_aside(folder: Path) -> Path:
    """Rename a broken folder to the first free `<folder>.broken-<n>`."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.broken-{number}")).exists():
        number += 1
    folder.rename(aside)
    return aside


@contextmanager
def locked(folder: Path, waiting: Callable[[str], None], owner: str, patience: float = 2.0) -> Iterator[None]:
    """Hold the folder against every other process; it is freed when the holder dies, however it dies.

    `waiting` is called once with the other's `owner` line if the lock is not had within `patience` seconds.
    That patience spares a notice where a killed run's last process is still on its way out. The lock is a
    file beside the folder, because the folder itself may be renamed by `set_aside`.
    """
    until = time.monotonic() + patience
    told = False
    while True:
        with open(_lock_of(folder), "a+", encoding="utf-8") as file:
            while not _try_lock(file.fileno()):
                if time.monotonic() > until:
                    file.seek(0)
                    if not told:
                        waiting(file.read().strip() or "another process")
                    told = True
                    fcntl.flock(file.fileno(), fcntl.LOCK_EX)
                    break
                time.sleep(0.02)
            if not _is_at(file.fileno(), _lock_of(folder)):
                continue  # its holder has removed it (`unlock`): who comes now locks a new file
            file.truncate(0)
            file.write(owner)
            file.flush()
            yield
            return


def unlock(folder: Path) -> None:
    """Remove the file by which `locked` holds a folder that is no more, before it lets go of it."""
    _lock_of(folder).unlink(missing_ok=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def digest(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _same(path: Path, was: dict[str, Any]) -> bool:
    """Whether a file is as DONE describes it; DONEs of version 0.1 hold no digest of large files."""
    told = path.stat()
    if told.st_size != was["bytes"]:
        return False
    if "sha256" not in was:
        return True
    identity = (told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino)
    found = digest(path) if told.st_size < SMALL else _digest_once(path.absolute(), identity)
    return bool(found == was["sha256"])


@cache
def _digest_once(path: Path, identity: tuple[int, ...]) -> str:
    return digest(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
