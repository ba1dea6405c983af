"""Only a checkpoint that was sealed and is as it was then is continued from, and the one before it goes last."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pbb.training import checkpoint as module
from pbb.training.checkpoint import SEAL, newest, replace, seal

FILES = ("model.safetensors", "optimizer.pt", "rng_state.pth", "inner/part", "trainer_state.json")


def written(folder: Path, step: int, sealed: bool = True) -> Path:
    made = folder / f"checkpoint-{step}"
    for name in FILES:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(name.encode() * step)
    if sealed:
        seal(made)
    return made


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_seal_removes_the_checkpoint_before(tmp_path: Path) -> None:
    first = written(tmp_path, 9)
    assert newest(tmp_path) == first
    second = written(tmp_path, 10, sealed=False)
    (tmp_path / "another").mkdir()
    assert left(tmp_path) == ["another", "checkpoint-10", "checkpoint-9"]
    seal(second)
    assert left(tmp_path) == ["another", "checkpoint-10"]
    assert newest(tmp_path) == second


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", [*FILES, SEAL])
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "flipped"])
def test_a_damaged_checkpoint_is_passed_over_and_removed(how: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    older = written(folder, 3)
    aside = Path(shutil.copytree(older, tmp_path / "aside"))
    newer = written(folder, 12)
    aside.rename(older)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert newest(copy) == copy / newer.name
    data = (newer / name).read_bytes()
    left_of = {"cut": data[: len(data) // 2], "flipped": bytes([data[0] ^ 4]) + data[1:]}
    (newer / name).write_bytes(left_of.get(how, b""))
    if how == "missing":
        (newer / name).unlink()
    assert newest(folder) == older
    assert left(folder) == ["checkpoint-3"]


@pytest.mark.parametrize("how", ["grown", "same", "cut", "flipped", "missing"])
def test_a_journal_is_sealed_up_to_where_it_was(how: str, tmp_path: Path) -> None:
    journal, folder = tmp_path / "metrics.jsonl", tmp_path / "checkpoints"
    journal.write_text('{"step": 3}\n')
    made = written(folder, 3, sealed=False)
    seal(made, [journal, tmp_path / "none.jsonl"])
    texts = {
        "grown": '{"step": 3}\n{"step": 4}\n',
        "same": '{"step": 3}\n',
        "cut": '{"st',
        "flipped": '{"step": 2}\n',
    }
    journal.write_text(texts.get(how, ""))
    if how == "missing":
        journal.unlink()
    assert newest(folder) == (made if how in ("grown", "same") else None)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "7", '{"gone": 1}', '{"model.safetensors": null}', "\0"]
)
def test_a_seal_that_says_nothing_seals_nothing(text: str, tmp_path: Path) -> None:
    made = written(tmp_path, 3)
    (made / SEAL).write_text(text)
    assert newest(tmp_path) is None
    assert left(tmp_path) == []


def test_every_file_is_on_the_disk_before_the_seal_and_the_seal_before_the_older_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = written(tmp_path, 3), written(tmp_path, 4, sealed=False)
    synced: list[str] = []

    def note(path: Path) -> None:
        synced.append(path.relative_to(tmp_path).as_posix())
        assert all((older / name).stat().st_size for name in (*FILES, SEAL))
        assert (newer / SEAL).exists() == (len(synced) > len(FILES) + 1)

    monkeypatch.setattr(module, "sync", note)
    seal(newer)
    files = [f"checkpoint-4/{name}" for name in (*sorted(FILES), f".{SEAL}.tmp")]
    assert synced == [*files, "checkpoint-4", "."]
    assert not older.exists()


def test_a_text_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    replace(path, "old")
    monkeypatch.setattr(module, "sync", full)
    with pytest.raises(OSError, match="No space"):
        replace(path, "new")
    assert path.read_text() == "old"


def full(path: Path) -> None:
    raise OSError(28, "No space left on device", str(path))
