"""What this machine has: cores, memory, instructions, GPU, disk, bubblewrap, optional packages. `pbb doctor` prints it.

Contract: everything is asked of the machine, nothing assumed; what cannot be asked is None or False, never an error.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pbb.errors import PbbError

EXTRAS = {
    "sweep": ("ray", "submitit"),
    "eval": ("lm_eval", "inspect_ai"),
    "track": ("trackio", "tensorboard", "wandb"),
    "gpu": ("vllm",),
}
"""Optional packages by the extra of pbb that brings them; wandb is brought by none."""
FREE = "import torch; print(torch.cuda.mem_get_info()[0])"
SIDE = 1536  # of the square matrices that are multiplied: large enough to fill the units, a second at most


def available_cores() -> int:
    """The cores that this process may use, which on a shared machine or in a container are fewer than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _text("/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def memory() -> tuple[int, int]:
    """Bytes that can be had now, and bytes in all, of this process's control group where that is smaller than the machine."""
    rows = dict(row.split(":", 1) for row in _text("/proc/meminfo").splitlines() if ":" in row)
    free, total = (int(rows.get(key, "0 kB").split()[0]) * 1024 for key in ("MemAvailable", "MemTotal"))
    if not total:
        total = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = (_text(f"/sys/fs/cgroup/memory.{what}").strip() for what in ("max", "current"))
    if limit.isdigit() and int(limit) < total:
        total = int(limit)
        told = dict(
            row.split(" ", 1) for row in _text("/sys/fs/cgroup/memory.stat").splitlines() if " " in row
        )
        # Pages of files that were read or written once count as used, and are given back where memory is wanted.
        free = min(free, total - int(used or 0) + int(told.get("inactive_file", 0)))
    return free, total


def devices() -> int:
    """How many GPUs there are. Imports torch only if there is a driver."""
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia").exists():
        return 0
    import torch

    return torch.cuda.device_count()


def places() -> tuple[int, str]:
    """How many processes a training can have here, and what each of them fills."""
    gpus = devices()
    return (gpus, "GPUs") if gpus else (available_cores(), "cores")


def enough(processes: int) -> None:
    """PbbError where a training cannot have so many processes here."""
    there, what = places()
    if processes > there:
        raise PbbError(
            f"processes: {processes}: there are {there} {what}: give --processes {there}, or fewer"
        )


def device_memory() -> int | None:
    """Free bytes of the GPU that training would run on, as they were first asked for; None where there is none, or it does not say."""
    return _device_free() if devices() else None


@cache
def _device_free() -> int | None:
    """Asked by a process of its own: one that has asked keeps half a gigabyte of the GPU, and some GPUs serve one process at a time."""
    try:
        # without the working directory, where a file may be called like a library
        asked = subprocess.run(
            [sys.executable, "-P", "-c", FREE], capture_output=True, text=True, timeout=120, check=True
        )
        return int(asked.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def products() -> dict[str, float]:
    """Measured speed of a matrix product on the free cores, in GFLOP/s: float32, and with bfloat16 factors."""
    import torch

    torch.set_num_threads(available_cores())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    speeds = {}
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.ones(SIDE, SIDE, dtype=kind, device=device)
        best = float("inf")
        for _ in range(4):
            begun = time.perf_counter()
            float((a @ a)[0, 0])  # waits for a GPU
            best = min(best, time.perf_counter() - begun)
        speeds[name] = round(2 * SIDE**3 / best / 1e9, 1)
    return speeds


def examine(runs: Path) -> dict[str, Any]:
    """All of it, as plain data; `runs` is the folder whose disk is asked."""
    import torch

    from pbb import __version__
    from pbb.programs.isolation import unavailable

    flags = _flags()
    free, total = memory()
    device_memory()  # of the GPU as it is before this process takes some of it
    cache = Path(os.environ.get("PBB_CACHE") or "~/.cache/pbb").expanduser()
    gpus = []
    for i in range(torch.cuda.device_count()):
        p = torch.cuda.get_device_properties(i)
        gpus.append({"name": p.name, "bytes": p.total_memory, "bf16": torch.cuda.is_bf16_supported()})
    return {
        "pbb": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cores": {"machine": os.cpu_count(), "available": available_cores()},
        "memory": {"free": free, "total": total},
        "cpu": {
            "capability": torch.backends.cpu.get_cpu_capability(),
            "avx512_bf16": "avx512_bf16" in flags,
            "amx_bf16": amx(),
        },
        "gflops": products(),
        "gpus": gpus,
        "bubblewrap": unavailable(),
        "extras": {e: {p: version(p) for p in packages} for e, packages in EXTRAS.items()},
        "disk": {"runs": _free(runs), "cache": _free(cache)},
    }


def amx() -> bool:
    """Whether the processor multiplies bfloat16 matrices by tiles."""
    return "amx_bf16" in _flags()


@cache
def _flags() -> frozenset[str]:
    return frozenset(_text("/proc/cpuinfo").split())


def version(package: str) -> str | None:
    """The installed version, or None."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def _free(path: Path) -> int:
    """Free bytes on the disk that the path is, or would be, on."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
