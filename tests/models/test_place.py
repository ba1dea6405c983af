"""A model's name is a place, or one line says what it should have been."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pbb.models import place
from pbb.models.place import BASE, EMBEDDED, architecture, local

Refused = Callable[..., AbstractContextManager[None]]


def test_what_is_on_this_machine_has_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "owner" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert local("base") == BASE
    assert all(
        local(name) == folder and (folder / "config.json").exists() for name, folder in EMBEDDED.items()
    )
    assert local(str(folder)) == folder
    monkeypatch.chdir(tmp_path)
    assert local("owner/model") == Path("owner/model")  # a folder that is there wins over a hub id


@pytest.mark.parametrize(
    "name", ["smollm2", "owner/model", "owner/model@v1", "HuggingFaceTB/SmolLM2-135M-Instruct"]
)
def test_what_is_fetched_has_none(name: str) -> None:
    assert local(name) is None


@pytest.mark.parametrize(
    "name", ["nowhere", "./nowhere", "./a/b", "../a", "/a", "/no/where", "~/model", "a/b/c", "Base"]
)
def test_what_is_neither_is_refused(name: str, refused: Refused) -> None:
    with refused("model: ", repr(name), "hub id"):
        local(name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("model: ", str(tmp_path), "config.json"):
        local(str(tmp_path))


def test_a_gguf_file_is_a_place(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    assert local(str(path)) == path


def test_another_file_is_none(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    with refused("model: ", str(path)):
        local(str(path))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "model_type"),
        ({"model_type": "abacus", "auto_map": {}}, "never run"),
        ({"model_type": "t5"}, "'t5'"),
    ],
)
def test_an_unknown_architecture_is_refused(
    config: dict[str, object], says: str, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with refused("model: mine", says):
        architecture("mine", tmp_path)


def test_smollm2_is_itself_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of runs or an exported model may be called so: neither its weights nor what it lacks is SmolLM2's."""
    from pbb.durations import training
    from pbb.recipe_file import load

    monkeypatch.chdir(tmp_path)
    before = load("arithmetic", model="smollm2")
    told = training(before.stages["learn"], 100, "smollm2")
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "model.safetensors").write_bytes(b"few")
    assert not place.small("smollm2")
    assert load("arithmetic", model="smollm2") == before
    assert training(before.stages["learn"], 100, "smollm2") == told
