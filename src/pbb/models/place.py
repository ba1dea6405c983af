"""Where a model lies, without importing any library of models: the command line and the step hashes need no more."""

from __future__ import annotations

from pathlib import Path

from pbb.errors import PbbError

BASE = Path(__file__).parent / "base"
EMBEDDED = {"base": BASE, "base-strings": Path(__file__).parent / "base-strings"}
"""The models that come with pbb: of arithmetic, and the same after a phase of strings."""


def local(name: str) -> Path | None:
    """The folder of a model that is on this machine by its own name; None for `smollm2` and hub ids.

    Raises:
        PbbError: the name is neither `base`, `base-strings`, `smollm2`, a model folder, nor a hub id.
    """
    if name in EMBEDDED:
        return EMBEDDED[name]
    if name == "smollm2":
        return None
    if Path(name).is_dir():
        if not (Path(name) / "config.json").exists():
            raise PbbError(f"model: {name}: the folder has no config.json: give a Hugging Face model folder")
        return Path(name)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return None
    raise PbbError(
        f"model: {name!r}: neither base, base-strings, smollm2, a model folder, nor a hub id such as owner/name"
    )
