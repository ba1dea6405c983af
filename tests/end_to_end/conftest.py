"""One undisturbed run of the small recipe, which the tests of this folder look at or copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from running import RECIPE, Command, pbb_says  # noqa: E402

from pbb.models.place import BASE  # noqa: E402


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Command:
    """`pbb run` of the small recipe: on the embedded base, or on an untrained model where that is not built yet."""
    with_model = (
        []
        if (BASE / "model.safetensors").exists()
        else ["--model", str(request.getfixturevalue("model_folder"))]
    )
    return ["run", str(RECIPE), *with_model]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def finished(command: Command, place: Path) -> tuple[Path, str]:
    """The directory of an undisturbed run, and what it printed."""
    code, out, err = pbb_says(*command, cwd=place)
    assert code == 0, err
    (directory,) = (place / "runs" / "six_arms").iterdir()
    return directory, out
