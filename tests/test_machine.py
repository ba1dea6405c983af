"""What a machine has is asked of it, and of a GPU without touching it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from pbb import machine
from pbb.cli import main


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("class cuda:\n    mem_get_info = staticmethod(lambda: (123, 456))\n", 123),
        ("class cuda:\n    def mem_get_info(): raise RuntimeError('the device is busy')\n", None),
        ("class cuda:\n    mem_get_info = staticmethod(lambda: ('nothing', 456))\n", None),
    ],
    ids=["it says", "it is taken", "it says nothing"],
)
def test_free_memory_is_asked_by_another_process_and_once(
    library: str, expected: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that has asked CUDA keeps half a gigabyte, and a GPU may serve one process at a time."""
    import torch

    def touched() -> None:
        raise AssertionError("this process has touched the GPU")

    (tmp_path / "torch.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(machine, "devices", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", touched)
    machine._device_free.cache_clear()
    try:
        assert machine.device_memory() == expected
        monkeypatch.setattr(sys, "executable", "/nowhere")
        assert machine.device_memory() == expected
        monkeypatch.setattr(machine, "devices", lambda: 0)
        assert machine.device_memory() is None
    finally:
        machine._device_free.cache_clear()


def test_doctor_says_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "products", lambda: {"float32": 100.0, "bfloat16": 200.0})
    assert main(["doctor", "--json", "--runs", str(tmp_path / "none" / "yet")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cores"]["available"] >= 1 and 0 < found["memory"]["free"] <= found["memory"]["total"]
    assert set(found["extras"]) == {"sweep", "eval", "track", "gpu"} and found["disk"]["runs"] > 0
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "cores" in told and "100 GFLOP/s in float32" in told and "smollm2" in told


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": "MemTotal: 8 kB\nMemAvailable: 6 kB\n", "max": "max\n", "current": "1"}, (6144, 8192)),
        ({"meminfo": "MemTotal: 8 kB\nMemAvailable: 6 kB\n", "max": "5000\n", "current": "1000\n"}, (4000, 5000)),
        ({"meminfo": "MemTotal: 8 kB\nMemAvailable: 6 kB\n", "max": "5000\n", "current": "4500\n",
          "stat": "anon 1000\nfile 3500\ninactive_file 3000\nactive_file 500\n"}, (3500, 5000)),
        ({"meminfo": "MemTotal: 8 kB\nMemAvailable: 2 kB\n", "max": "5000", "current": ""}, (2048, 5000)),
        ({"meminfo": "", "max": "", "current": ""}, None),
    ],
    ids=["the machine's", "the control group's", "files that were read can be given back", "the group has room, the machine less", "no such files"],
)  # fmt: skip
def test_memory_is_that_of_the_control_group_where_it_is_smaller(
    files: dict[str, str], expected: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        machine, "_text", lambda path: files.get(path.replace("/", ".").rpartition(".")[2], "")
    )
    if expected is None:
        assert machine.memory() == (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),) * 2
    else:
        assert machine.memory() == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [("", 8), ("max 100000\n", 8), ("200000 100000\n", 2), ("150000 100000\n", 2), ("1000 100000\n", 1), ("9900000 100000\n", 8)],
)  # fmt: skip
def test_cores_are_those_of_the_control_group_where_it_has_fewer(
    told: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_text", lambda path: told if path == "/sys/fs/cgroup/cpu.max" else "")
    assert machine.available_cores() == expected
