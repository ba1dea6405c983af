"""What `pbb data make` writes loads with Hugging Face `datasets`, by the names in the card's header."""

import json
import random
from pathlib import Path

import pytest
import yaml

from pbb.card import write_card
from pbb.documents.corpus import Share, stage_documents, write_documents
from pbb.documents.render import execution, templates
from pbb.programs.program import Example, Facts, Program, read_programs, write_programs


@pytest.fixture
def folder(programs: list[Program], tmp_path: Path) -> Path:
    mix = [
        Share(kind="declaration", group="source_only", per_program=2),
        Share(kind="execution", group="io", per_program=1, ask="direct"),
    ]
    odd = Program(
        name="odd", entry="odd", source="def odd(a, b):\n    return (a, {1: b})\n", family="python", group="io", facts=Facts(length=1),
        examples=[Example(args=[a, b], output=(a, {1: b}), split="train") for a, b in (("x", 1), ([2], 2**70))],
        origin={"package": "thing", "version": "1", "license": "MIT"},
    )  # fmt: skip
    write_programs([*programs, odd], tmp_path / "programs-seed-0.jsonl")
    write_documents(
        stage_documents(programs, mix, templates("arithmetic"), stage="learn", seed=0),
        tmp_path / "documents-learn-seed-0.jsonl",
    )
    files = [tmp_path / "programs-seed-0.jsonl", tmp_path / "documents-learn-seed-0.jsonl"]
    write_card("A title", "What it is.", files, tmp_path, True)
    return tmp_path


def test_datasets_loads_every_file_by_its_name(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from datasets import load_dataset

    cache = str(tmp_path_factory.mktemp("cache"))
    rows = {
        name: load_dataset(str(folder), name, split="train", cache_dir=cache)
        for name in ("programs-seed-0", "documents-learn-seed-0")
    }
    written = (folder / "documents-learn-seed-0.jsonl").read_text(encoding="utf-8").splitlines()
    assert [row["completion"] for row in rows["documents-learn-seed-0"]] == [
        json.loads(line)["completion"] for line in written
    ]
    known = read_programs(folder / "programs-seed-0.jsonl")
    assert [row["source"] for row in rows["programs-seed-0"]] == [p.source for p in known]
    alone = load_dataset(
        "json", data_files=str(folder / "programs-seed-0.jsonl"), split="train", cache_dir=cache
    )
    assert (
        len(alone) == len(known)
        and alone[-1]["examples"][1]["exact"] == f"([[2], {2**70}], {{}}, ([2], {{1: {2**70}}}))"
    )


def test_composites_are_counted_as_what_they_are(programs: list[Program], tmp_path: Path) -> None:
    """Of them those w/ IO are executed, and none of the w/o IO programs is."""
    groups = ["io", "io_composed", "source_only", "source_only_composed"]
    some = [p.model_copy(update={"group": g}) for p, g in zip(programs, groups, strict=False)]
    write_programs(some, tmp_path / "programs-seed-0.jsonl")
    documents = [
        execution(p, p.examples[0], "direct", templates("arithmetic"), random.Random(0)) for p in some[:2]
    ]
    write_documents(documents, tmp_path / "documents-learn-seed-0.jsonl")
    files = [tmp_path / "programs-seed-0.jsonl", tmp_path / "documents-learn-seed-0.jsonl"]
    card = write_card("A title", "What it is.", files, tmp_path, True).read_text()
    assert "| programs | 4: 1 w/o IO, 1 w/ IO, 1 w/o IO, composed, 1 w/ IO, composed |" in card
    assert "| kinds | execution direct, w/ IO: 1, execution direct, w/ IO, composed: 1 |" in card


def test_programs_of_others_have_no_licence_but_their_own(programs: list[Program], tmp_path: Path) -> None:
    """Whatever word their family is; only what pbb made is pbb's."""
    file = tmp_path / "programs-seed-0.jsonl"
    write_programs([p.model_copy(update={"family": "mine", "origin": {}}) for p in programs[:2]], file)
    for ours, header, row, origin in (
        (True, "apache-2.0", "Apache-2.0: 2", "made by pbb, mine: 2"),
        (False, "other", "unknown: 2", "mine: 2"),
    ):
        card = write_card("A title", "What it is.", [file], tmp_path, ours).read_text()
        assert f"\nlicense: {header}\n" in card.replace("---\n", "\n")
        assert f"| licence | {row} |" in card and f"| origin | {origin} |" in card


def test_the_card_counts_what_is_there(folder: Path, programs: list[Program]) -> None:
    _, header, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    about = yaml.safe_load(header)
    assert about["license"] == "other" and [c["config_name"] for c in about["configs"]] == [
        "programs-seed-0",
        "documents-learn-seed-0",
    ]
    assert f"| programs | {len(programs) + 1}: 8 w/o IO, 25 w/ IO |" in text
    assert "| licence | Apache-2.0: 32, MIT: 1 |" in text and "thing 1: 1" in text
    assert "| documents | 40 |" in text
