"""The bytes of a small recipe's data are the golden ones, in any process.

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
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import small_data  # noqa: E402

from pbb.recipe import Recipe  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "data_hashes.json"
DECLARE: dict[str, Any] = {"kind": "declaration", "per_program": 3}
EXECUTE: dict[str, Any] = {"kind": "execution", "group": "io", "per_program": 1.5}
READ = [{"kind": "declaration", "group": "io", "per_program": 0.5}, EXECUTE | {"ask": "recite"}]
RECIPE: dict[str, Any] = {
    "name": "golden",
    "title": "Data that must not change unnoticed",
    "seeds": [11],
    "data": {
        "io": 12,
        "source_only": 6,
        "train_inputs": 8,
        "test_inputs": 6,
        "length": [1, 3],
        "input_range": [0, 29],
        "bound": 99,
        "constants": [1, 9],
        "constant_share": 0.25,
        "operations": ["+", "-", "*", "//", "%", "min", "max", "abs", "if", "for"],
    },
    "templates": {"prompt": 20, "response": 20},
    "evaluation": {"calls": 5, "direct_calls": 6},
    "stages": {
        "learn": {
            "mix": [DECLARE | {"group": "io"}, DECLARE | {"group": "io", "form": "part"}]
            + [DECLARE | {"group": "io", "form": "path"}]
            + [EXECUTE | {"ask": ask} for ask in ("direct", "trace", "recite")]
        },
        "read": {"mix": [DECLARE | {"group": "source_only"}, *READ]},
        "read-wrong": {"mix": [DECLARE | {"group": "source_only", "wrong": True}, *READ]},
        "prose": {"mix": [DECLARE | {"group": "source_only", "represent": "prose"}]},
        "together": {"of": ["learn", "read"]},
    },
    "arms": {"proactive": {"stages": ["learn", "read"]}},
}


def hashes() -> dict[str, str]:
    """sha256 of each file of data, by its step."""
    with tempfile.TemporaryDirectory() as folder:
        made = small_data.make(Recipe.model_validate(RECIPE), Path(folder))
        return {
            label: hashlib.sha256(next(out.glob("*s.jsonl")).read_bytes()).hexdigest()
            for label, out in sorted(made.items())
        }


def test_the_data_are_the_golden_ones() -> None:
    assert hashes() == json.loads(GOLDEN.read_text())


def test_the_data_are_the_golden_ones_in_another_process(python: Callable[..., str]) -> None:
    code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    for hash_seed in (1, 4242):
        assert json.loads(python(code, __file__, hash_seed=hash_seed)) == json.loads(GOLDEN.read_text())


def test_every_file_differs_from_every_other() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert set(golden) == {"programs", *RECIPE["stages"]}
    assert len(set(golden.values())) == len(golden)


if __name__ == "__main__":
    text = json.dumps(hashes(), indent=1) + "\n"
    print(text, end="")
    if "--write" in sys.argv:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
