"""The bytes of a small recipe's data are the golden ones for every family, in any process and on every Python that pbb runs on.

If a change of programs, phrasings or mixing is meant, write the new hashes and say so in the change:

    python tests/invariant/test_data_hashes.py --write
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import small_data  # noqa: E402
from small_recipes import MADE, recipe  # noqa: E402

from pbb.programs.families import FAMILIES  # noqa: E402
from pbb.programs.isolation import unavailable  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "data_hashes.json"
WALLED = ["leetcode"] if unavailable() else []  # third-party code is not executed without isolation


def hashes(family: str) -> dict[str, str]:
    """sha256 of each file of data, by its step."""
    with tempfile.TemporaryDirectory() as folder:
        made = small_data.make(recipe(family, Path(folder)), Path(folder))
        return {
            label: hashlib.sha256(next(out.glob("*s.jsonl")).read_bytes()).hexdigest()
            for label, out in sorted(made.items())
        }


def golden() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text())
    return found


@pytest.mark.parametrize("family", MADE)
def test_the_data_are_the_golden_ones(family: str) -> None:
    if family in WALLED:
        pytest.skip(f"no isolation here: {unavailable()}")
    assert hashes(family) == golden()[family]


def test_the_data_are_the_golden_ones_in_another_process(python: Callable[..., str]) -> None:
    code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    for hash_seed in (1, 4242):
        made = json.loads(python(code, __file__, hash_seed=hash_seed))
        assert made == {family: of for family, of in golden().items() if family not in WALLED}


def test_every_family_is_there_and_every_file_differs_from_every_other(tmp_path: Path) -> None:
    assert {recipe(family, tmp_path).data.family for family in MADE} == set(FAMILIES)
    files = [digest for family in MADE for digest in golden()[family].values()]
    assert {family: set(of) for family, of in golden().items()} == {
        family: {"programs", *stages} for family, (_, stages) in MADE.items()
    }
    assert len(set(files)) == len(files)


if __name__ == "__main__":
    made = {family: hashes(family) for family in MADE if family not in WALLED}
    text = json.dumps(made, indent=1) + "\n"
    print(text, end="")
    if "--write" in sys.argv:
        assert not WALLED, "LeetCode's hashes would be lost: there is no isolation here"
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
