"""All program families, by the name that `data.family` gives them in a recipe."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from pbb.programs.brought import Brought
from pbb.programs.ciphers import Ciphers
from pbb.programs.family import Data
from pbb.programs.grammars import Grammars
from pbb.programs.leetcode import Leetcode
from pbb.programs.random_arithmetic import Arithmetic

FAMILIES: dict[str, type[Data]] = {
    "arithmetic": Arithmetic,
    "ciphers": Ciphers,
    "file": Brought,
    "grammars": Grammars,
    "leetcode": Leetcode,
}


def _name(data: Any) -> str | None:
    family = data.get("family", "arithmetic") if isinstance(data, dict) else getattr(data, "family", None)
    return family if isinstance(family, str) else None


AnyData = Annotated[
    Annotated[Arithmetic, Tag("arithmetic")]
    | Annotated[Ciphers, Tag("ciphers")]
    | Annotated[Brought, Tag("file")]
    | Annotated[Grammars, Tag("grammars")]
    | Annotated[Leetcode, Tag("leetcode")],
    Discriminator(
        _name,
        custom_error_type="family",
        custom_error_message=f"no such family: choose from {', '.join(FAMILIES)}",
    ),
]
"""The data of any family, told apart by `family`; arithmetic where there is none."""
