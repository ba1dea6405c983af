"""Replay takes just so many chats, the same ones for the same seed, and says which line of a file is no chat."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from datasets import Dataset

from pbb.documents.chats import Chat, digest, replayed
from pbb.documents.corpus import Share, stage_documents
from pbb.documents.leaks import leaks
from pbb.documents.render import templates
from pbb.programs.program import Program

Refused = Callable[..., AbstractContextManager[None]]
ROWS = [{"prompt": f"What is {i} + 1?", "completion": str(i + 1)} for i in range(40)]


def write(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(path: Path, count: int = 10, **more: object) -> Chat:
    return Chat.model_validate({"kind": "chat", "path": str(path), "count": count} | more)


def asked(path: Path, seed: int = 0, **more: object) -> list[tuple[str, str]]:
    return [(d.prompt, d.completion) for d in replayed(chat(path, **more), random.Random(seed))]


def test_so_many_different_chats_by_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "chats.jsonl", list(ROWS))
    first = asked(path)
    assert len(set(first)) == 10 and set(first) <= {(r["prompt"], r["completion"]) for r in ROWS}
    assert first == asked(path) and first != asked(path, seed=1)
    assert len(asked(path, count=40)) == 40


def test_a_dialogue_gives_its_first_question_and_answer(tmp_path: Path) -> None:
    turns = [
        ("system", "Be brief."),
        ("user", "Hi?"),
        ("assistant", "Hi."),
        ("user", "More?"),
        ("assistant", "No."),
    ]
    row = {"messages": [{"role": r, "content": c} for r, c in turns]}
    assert asked(write(tmp_path / "chats.jsonl", [row]), count=1) == [("Be brief.\n\nHi?", "Hi.")]


def test_columns_may_have_other_names_and_long_chats_are_passed_over(tmp_path: Path) -> None:
    rows = [{"problem": "1?", "solution": "x" * n} for n in (3, 5000)]
    path = write(tmp_path / "chats.jsonl", list(rows))
    assert asked(path, count=1, prompt="problem", completion="solution") == [("1?", "xxx")]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "saved"])
def test_a_folder_is_read_as_the_file_is(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    if form == "jsonl":
        write(folder / "train.jsonl", list(ROWS))
    elif form == "parquet":
        Dataset.from_list(ROWS).to_parquet(folder / "train.parquet")
    else:
        Dataset.from_list(ROWS).save_to_disk(folder)
    assert asked(folder) == asked(write(tmp_path / "chats.jsonl", list(ROWS)))


BAD: dict[str, tuple[object, str]] = {
    "number": (3, "no 'prompt'"),
    "columns": ({"question": "a"}, "out of question"),
    "messages": ({"messages": "hi"}, "list of objects"),
    "order": ({"messages": [{"role": "assistant", "content": "a"}]}, "user's message"),
    "empty": ({"prompt": "a", "completion": " "}, "not empty"),
    "type": ({"prompt": "a", "completion": 3}, "must be texts"),
    "half": ({"prompt": "a\ud800", "completion": "b"}, "half of a character"),
}


@pytest.mark.parametrize("row", BAD)
def test_a_line_that_is_no_chat_is_named(row: str, tmp_path: Path, refused: Refused) -> None:
    path = write(tmp_path / "chats.jsonl", [*ROWS[:2], BAD[row][0]])
    with refused("chats: ", f"{path}:3: ", BAD[row][1]):
        asked(path, count=1)


def test_a_line_that_is_nested_beyond_what_python_reads_is_named(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text("[" * 100_000)
    with refused(f"chats: {path}:1: not JSON"):
        asked(path, count=1)


def test_what_cannot_be_read_is_named(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt"\n')
    with refused(f"{path}:2: not JSON"):
        asked(path, count=1)
    path.write_bytes(b"\xff\xfe")
    with refused("chats: ", str(path), "UTF-8"):
        asked(path, count=1)
    with refused("chats: ", "nowhere", "neither a file nor a data set"):
        asked(tmp_path / "nowhere", count=1)
    with refused("chats: ", "holds 40 chats", "41"):
        asked(write(path, list(ROWS)), count=41)


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "chats.jsonl", list(ROWS))
    before = digest(chat(path))
    assert before == digest(chat(path, count=3))
    write(path, list(ROWS[1:]))
    assert digest(chat(path)) != before
    places = []
    for folder in ("train", "test"):  # of a folder its files' places as well
        (tmp_path / "of" / folder).mkdir(parents=True)
        moved = write(tmp_path / "of" / folder / "chats.jsonl", list(ROWS))
        places.append(digest(chat(tmp_path / "of")))
        moved.unlink()
    assert places[0] != places[1]


def test_chats_stand_between_the_documents_of_a_stage(programs: list[Program], tmp_path: Path) -> None:
    path = write(tmp_path / "chats.jsonl", list(ROWS))
    share = Share(kind="declaration", group="source_only", per_program=2)
    mix = [share, chat(path, count=20)]
    made = stage_documents(programs, mix, templates("arithmetic"), stage="read", seed=0)
    places = [i for i, d in enumerate(made) if d.kind == "chat"]
    assert len(places) == 20 and len(made) == 36 and places != list(range(16, 36))
    lines = [d.model_dump_json().encode() for d in made]
    assert list(leaks(programs, lines)) == []
    hidden = next(p for p in programs if p.group == "source_only").name
    named = made[places[0]].model_copy(update={"prompt": f"What is {hidden}(3)?"})
    assert [fault for _, fault in leaks(programs, [named.model_dump_json().encode()])] == [
        f"is a chat that names {hidden}"
    ]
