"""A program with a watch round it: how long a call may take in steps, what it did to its arguments, what it yields.

Steps are counted and not timed, so that a call ends in the same way on a slow machine. Those of the program's own lines count alone: what a library
does differs from call to call, as where it keeps the patterns that it has compiled.

Contract: `observed(source, entry)` is a source whose function `_pbb_observed` gives `[value, arguments after the call, whether the value was an
iterator]`, or raises; it runs in an `Isolated` with `MODULES`.
"""

from __future__ import annotations

from pbb.programs.isolation import STANDARD
from pbb.programs.sandbox_worker import FILE

MODULES = (*STANDARD, "sys")
ENTRY = "_pbb_observed"
STEPS = 20_000
YIELDED = 100
WATCH = """
import sys as _pbb_sys
from itertools import islice as _pbb_islice
class _pbb_TooManySteps(BaseException):
    pass
def _pbb_observed(*args, **kwargs):
    left = {steps}
    def watch(frame, event, arg):
        nonlocal left
        if frame.f_code.co_filename != {file!r}:
            return None
        left -= 1
        if left < 0:
            raise _pbb_TooManySteps
        return watch
    _pbb_sys.settrace(watch)
    try:
        value = {entry}(*args, **kwargs)
        listed = hasattr(value, "__next__")
        if listed:
            value = list(_pbb_islice(value, {most}))
    finally:
        _pbb_sys.settrace(None)
    return [value, args, listed]
"""


def observed(source: str, entry: str, steps: int = STEPS) -> str:
    """The source with the watch; an iterator's items are taken until they are one more than `YIELDED`."""
    return source + WATCH.format(file=FILE, steps=steps, entry=entry, most=YIELDED + 1)
