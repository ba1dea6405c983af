"""Where the Python files of a package, folder or file are, and whose they are (package, version, licence).

Contract: nothing is imported; what is installed is read from its metadata.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbb.errors import PbbError


@dataclass(frozen=True)
class Place:
    """Where a package's files are and whose they are."""

    name: str
    folder: Path
    origin: dict[str, str]


def locate(target: str) -> list[Place]:
    """The packages that a distribution's or an import name stands for, or the folder or file of that path.

    Raises:
        PbbError: there is neither.
    """
    path = Path(target)
    if path.exists():
        if path.is_file() and path.suffix != ".py":
            raise PbbError(f"harvest: {target}: no Python: give a package, a folder or a .py file")
        return [
            Place(
                path.resolve().stem,
                path.resolve(),
                {"package": path.resolve().stem, **_owner(path.resolve())},
            )
        ]
    names = [target, *importlib.metadata.packages_distributions().get(target, [])]
    for name in names:
        try:
            distribution = importlib.metadata.distribution(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
        return list(_of_distribution(distribution, target))
    raise PbbError(
        f"harvest: {target}: neither a folder nor an installed package: pip install it, or give a path"
    )


def _of_distribution(distribution: importlib.metadata.Distribution, target: str) -> Iterator[Place]:
    """The packages and modules at the top of what a distribution has installed."""
    top = sorted(
        {
            file.parts[0]
            for file in distribution.files or ()
            if file.suffix == ".py" and ".." not in file.parts
        }
    )
    if not top:
        raise PbbError(f"harvest: {target}: the installed package lists no Python files: give its folder")
    for name in top:
        folder = Path(str(distribution.locate_file(name)))
        yield Place(folder.stem, folder.resolve(), _credits(distribution))


def _owner(folder: Path) -> dict[str, str]:
    """The origin of a folder that an installed package beside it owns, such as site-packages/NAME."""
    for distribution in importlib.metadata.distributions(path=[str(folder.parent)]):
        if any(file.parts[0] == folder.name for file in distribution.files or ()):
            return _credits(distribution)
    return {"license": "unknown"}


def _credits(distribution: importlib.metadata.Distribution) -> dict[str, str]:
    about: Any = distribution.metadata
    classes = [
        c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")
    ]
    stated = (
        about.get("License-Expression")
        or ", ".join(classes)
        or (about.get("License") or "unknown").splitlines()[0]
    )
    return {"package": str(about["Name"]), "version": str(about["Version"]), "license": str(stated)[:100]}
