"""Small recipes for tests, and how one is written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SHARE = {"kind": "declaration", "group": "source_only", "per_program": 2}

SMALL: dict[str, Any] = {
    "title": "Small",
    "data": {"io": 5, "source_only": 3},
    "stages": {
        "read": {"mix": [SHARE], "batch_size": 4},
        "more": {"mix": [{**SHARE}]},
        "both": {"of": ["read", "more"]},
    },
    "arms": {"untrained": {}, "proactive": {"stages": ["read"]}},
    "models": {"owner/big": {"data": {"io": 50}, "stages": {"read": {"batch_size": 2}}, "seeds": [0, 1]}},
}

ASKED = {"kind": "execution", "group": "io", "per_program": 1, "ask": "trace"}

LIKE: dict[str, Any] = SMALL | {
    "data": {"io": 8, "source_only": 6},
    "stages": {
        "read": {"mix": [SHARE, {**SHARE, "group": "io"}], "batch_size": 4, "learning_rate": 0.5},
        "slow": {"like": "read", "learning_rate": 0.1},
        "half": {"like": "slow", "exposures": 0.5, "programs": {"io": 3}},
        "prose": {"like": "read", "represent": "prose"},
        "both": {"of": ["read", "half"]},
        "thin": {"of": ["read", "half"], "exposures": 0.5},
        "joined": {"like": "slow", "of": ["read"]},
        "others": {"like": "read", "mix": [SHARE, {**ASKED, "programs": [5, 8], "inputs": [2, 4]}]},
    },
    "arms": {
        "untrained": {},
        "proactive": {"stages": ["read"]},
        "few": {"stages": ["half"]},
        "more": {"stages": ["half", "slow"]},
        "other": {"stages": ["half", "others"], "programs": {"io": [5, 8]}},
    },
}


def dumped(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False)


def written(folder: Path, value: Any, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else dumped(value), encoding="utf-8")
    return path
