"""A GGUF file loads like a folder, once unpacked, and can be trained and saved; other files are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from gguf import GGUFWriter

from pbb.models.gguf import folder
from pbb.models.load import load
from pbb.recipe_graph import _identity

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PBB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path, tiny_gguf: Callable[[Path], object]) -> Path:
    tiny_gguf(tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def test_it_loads_with_its_ends_mended_and_can_be_saved(file: Path, tmp_path: Path) -> None:
    model, tokenizer = load(str(file))
    # the file says nothing of padding: the special token that no dialogue has takes its place
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert all(p.dtype == torch.float32 and p.requires_grad for p in model.parameters())
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    again, _ = load(str(tmp_path / "saved"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_it_is_unpacked_once_under_its_digest(file: Path, cache: Path) -> None:
    first = folder(file)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert first.parent == cache and folder(file) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written


def test_a_steps_hash_holds_the_bytes(file: Path) -> None:
    before = _identity(str(file))
    file.write_bytes(file.read_bytes() + b"\0")
    assert before["digest"] != _identity(str(file))["digest"]


def test_what_is_no_gguf_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"nothing of that sort")
    with refused("model: ", str(path), "no GGUF"):
        load(str(path))


@pytest.mark.parametrize("keep", [4, 100, 2000])
def test_a_cut_file_is_refused(keep: int, file: Path, cache: Path, refused: Refused) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with refused("model: ", str(file), "GGUF file"):
        load(str(file))
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


def test_an_unknown_shape_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "odd.gguf"
    writer = GGUFWriter(path, "abacus")
    writer.add_block_count(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with refused("model: ", str(path), "abacus"):
        load(str(path))
