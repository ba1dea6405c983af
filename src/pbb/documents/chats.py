"""Chats of others as a part of a mix, so that a model that is taught programs goes on following instructions.

    {"messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]}
    {"prompt": "What is 2 + 2?", "completion": "4"}

The paper's second stage replays 1,000 samples of an instruction set (OpenMathInstruct). A file of JSON lines, a folder that `datasets` reads, or
a data set of the hub is taken; of each chat the first question and its answer, a system message before the question. Which of them
depends on seed, stage and place in the mix alone.

Contract: `count` different chats of the file, none longer than `longest` characters, or one line that says what is wrong and where.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pbb.documents.render import Document
from pbb.errors import PbbError


class Chat(BaseModel):
    """A part of a mix: `count` chats of a .jsonl file, a folder, or a data set of the hub (`owner/name`).

    prompt, completion: the columns, where a row has no `messages`. split: of a folder or data set. longest: chats of more characters are
    passed over, since a batch is as dear as its longest document.
    """

    model_config = ConfigDict(extra="forbid")
    kind: Literal["chat"]
    path: str = Field(min_length=1)
    count: int = Field(ge=1)
    prompt: str = "prompt"
    completion: str = "completion"
    split: str = "train"
    longest: int = Field(1500, ge=1)


def replayed(chat: Chat, rng: random.Random) -> list[Document]:
    """The chats that a mix asks for.

    Raises:
        PbbError: the file can't be read, a line of it is no chat, or there are too few.
    """
    pairs = [(p, c) for _, (p, c) in _placed(chat) if len(p) + len(c) <= chat.longest]
    if len(pairs) < chat.count:
        raise PbbError(
            f"chats: {chat.path}: holds {len(pairs)} chats of at most {chat.longest} characters, and {chat.count} are "
            "asked for: lower count, or raise longest"
        )
    chosen = rng.sample(pairs, chat.count)
    return [Document(prompt=p, completion=c, program="", group="chat", kind="chat") for p, c in chosen]


def digest(chat: Chat) -> str:
    """What tells versions of the chats apart: the bytes of the file or folder; for a data set of the hub its name and split."""
    here = Path(chat.path)
    found = hashlib.sha256(chat.split.encode())
    for path in [here] if here.is_file() else sorted(p for p in here.rglob("*") if p.is_file()):
        name = path.relative_to(here).as_posix() if path != here else path.name
        found.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def place(chat: Chat, document: Document) -> str | None:
    """File and line, or row, of a chat that a document holds; None where these are other chats."""
    wanted = (document.prompt, document.completion)
    return next((where for where, pair in _placed(chat) if pair == wanted), None)


def _placed(chat: Chat) -> Iterator[tuple[str, tuple[str, str]]]:
    for where, row in _lines(Path(chat.path)) if Path(chat.path).is_file() else _rows(chat):
        yield where, _pair(row, chat, where)


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield f"{path}:{number}", json.loads(line)
                    except (ValueError, RecursionError) as error:
                        raise PbbError(
                            f"chats: {path}:{number}: not JSON ({error}): one object a line"
                        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise PbbError(
            f"chats: {path}: cannot be read ({error}): give a file of JSON lines in UTF-8"
        ) from error


def _rows(chat: Chat) -> Iterator[tuple[str, Any]]:
    """The rows of a folder or of a data set of the hub, which `datasets` reads without running code of theirs."""
    if not Path(chat.path).exists() and (
        chat.path.count("/") != 1 or chat.path.endswith((".json", ".jsonl"))
    ):
        raise PbbError(
            f"chats: {chat.path}: neither a file nor a data set: give a .jsonl or a folder, from where pbb is started, or owner/name"
        )
    import datasets

    datasets.disable_progress_bars()
    try:
        if Path(chat.path, "state.json").exists() or Path(chat.path, "dataset_dict.json").exists():
            found: Any = datasets.load_from_disk(chat.path)
            found = found[chat.split] if isinstance(found, datasets.DatasetDict) else found
        else:
            found = datasets.load_dataset(chat.path, split=chat.split)
    except Exception as error:  # whatever a reader of any of its formats, or the network, raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PbbError(
            f"chats: {chat.path}: neither a file nor a data set that can be read ({reason}): "
            "give a .jsonl, a folder, or owner/name with a network"
        ) from error
    for number, row in enumerate(found):
        yield f"{chat.path}: row {number}", row


def _pair(row: Any, chat: Chat, where: str) -> tuple[str, str]:
    """(question, answer) of a row."""
    if isinstance(row, dict) and "messages" in row:
        turns = row["messages"]
        if not isinstance(turns, list) or not all(
            isinstance(t, dict) and isinstance(t.get("role"), str) and isinstance(t.get("content"), str)
            for t in turns
        ):
            raise PbbError(
                f"chats: {where}: messages must be a list of objects with role and content, both texts"
            )
        said = {t["role"]: t["content"] for t in reversed(turns)}
        roles = [t["role"] for t in turns if t["role"] != "system"]
        if roles[:2] != ["user", "assistant"]:
            raise PbbError(
                f"chats: {where}: expected a user's message and the assistant's answer, not {roles[:2]}"
            )
        prompt, completion = said["user"], said["assistant"]
        prompt = f"{said['system']}\n\n{prompt}" if said.get("system") else prompt
    else:
        known = sorted(map(str, row)) if isinstance(row, dict) else []
        for key in (chat.prompt, chat.completion):
            if key not in known:
                raise PbbError(
                    f"chats: {where}: no {key!r} and no messages: name the columns by prompt and completion, "
                    f"out of {', '.join(known) or 'an object'}"
                )
        prompt, completion = row[chat.prompt], row[chat.completion]
    if (
        not isinstance(prompt, str)
        or not isinstance(completion, str)
        or not prompt.strip()
        or not completion.strip()
    ):
        raise PbbError(f"chats: {where}: question and answer must be texts that are not empty")
    try:
        (prompt + completion).encode()
    except UnicodeEncodeError as error:
        raise PbbError(
            f"chats: {where}: holds half of a character, which no file does: take it out"
        ) from error
    return prompt, completion
