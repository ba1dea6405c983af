"""Ask the trained model of a run one call, in every way of asking, beside what is true: `pbb ask RUN "Zibdax(7)"`.

The call is read as a literal call of a known program; nothing that a person typed or a model wrote is evaluated.
"""

from __future__ import annotations

import ast
import json
import random
from pathlib import Path
from typing import Any

from pbb.documents.render import pointer, shown
from pbb.errors import PbbError
from pbb.evaluation.ask import Question, judge
from pbb.evaluation.phrasing import asked_in
from pbb.models.decode import decode
from pbb.models.load import encode, load
from pbb.programs.compose import composite
from pbb.programs.isolation import worker
from pbb.programs.program import Example, Program, read_programs

ASKS = ("direct", "trace", "recite")
LONGEST = 320


def inquire(evaluation: Path, call: str) -> list[dict[str, Any]]:
    """One row for each way of asking: ask, answer (parsed, as a literal, or None), generation, true, right.

    Args:
        evaluation: the folder of the step that evaluated the arm, beside those of its model and its programs.

    Raises:
        PbbError: the program is not in the run, the call is no literal call, or the run is one of other code.
    """
    calls, args, kwargs = read_composition(call)
    step = json.loads((evaluation / "inputs.json").read_text(encoding="utf-8"))
    steps, config = evaluation.parent, step["config"]
    if lacking := {"phrasings", "templates"} - set(config):
        raise PbbError(
            f"ask: {evaluation} was made by other code: it does not say its {' or '.join(sorted(lacking))}: run the recipe again"
        )
    programs = read_programs(steps / step["parents"]["programs"] / "programs.jsonl")
    program = _asked(programs, calls, config["seed"])
    truth = _execute(program, args, kwargs, call, config.get("isolate"))
    parent = step["parents"].get("model")
    model, tokenizer = load(str(steps / parent / "model") if parent else config["model"])
    phrasings = asked_in(config)
    example = Example(args=args, kwargs=kwargs, output=truth, split="test")
    rng = random.Random(f"inquire:{call}")
    rows = []
    for ask in ASKS:
        words = pointer(phrasings, rng, program.call(example), program.statement)
        prompt = words + " " + phrasings.instructions[ask][0]
        written = decode(
            model,
            encode(tokenizer, [prompt]),
            end=int(tokenizer.eos_token_id),
            pad=int(tokenizer.pad_token_id),
            limits=[LONGEST],
        )[0]
        text = str(tokenizer.decode(written.tokens, skip_special_tokens=True))
        row = judge(Question(program, ask, "test", example, prompt, ""), text, None, None)
        rows.append(
            {
                "ask": ask,
                "prompt": prompt,
                "answer": row["parsed"],
                "generation": text,
                "true": repr(truth),
                "right": row["correct"],
                "group": program.group,
                "source": shown(program, "source"),
            }
        )
    return rows


def read_composition(call: str) -> tuple[list[str], list[Any], dict[str, Any]]:
    """The names in the order in which they run, and the literal arguments: of `Flurb(Zibdax(7, by=2))` Zibdax, Flurb, 7, and 2 for `by`.

    Raises:
        PbbError: it is neither a literal call nor one around which another stands.
    """
    try:
        node = ast.parse(call.strip(), mode="eval").body
        names: list[str] = []
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [node.func.id, *names]
            alone = len(node.args) == 1 and not node.keywords
            if len(names) < 2 and alone and isinstance(node.args[0], ast.Call):
                node = node.args[0]
                continue
            named = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
            if len(named) < len(node.keywords) or (
                named and len(names) > 1
            ):  # `**`; parts are called by position
                break
            return names, [ast.literal_eval(a) for a in node.args], named
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass
    raise PbbError(
        f"ask: {call[:80]!r} is not a call with literal values: write a program's name and a value, such as Zibdax(7)"
    )


def _asked(programs: list[Program], calls: list[str], seed: int) -> Program:
    """The program that is called, or the composite of the two that are."""
    found = [_named(programs, name, seed) for name in calls]
    if len(found) == 1:
        return found[0]
    if composed := [p.entry for p in found if p.needs]:
        raise PbbError(
            f"ask: {composed[0]} calls two programs itself: ask for it alone, or for two that call none"
        )
    read = any(p.group == "source_only" for p in found)
    return composite(found[0], found[1], "source_only_composed" if read else "io_composed")


def _named(programs: list[Program], name: str, seed: int) -> Program:
    for p in programs:
        if p.entry == name:
            return p
    some = ", ".join(p.entry for p in programs if p.group == "source_only")[:120]
    raise PbbError(
        f"ask: no program {name!r} in seed {seed} of this run (another: --seed): w/o IO programs are {some} ..."
    )


def _execute(
    program: Program, args: list[Any], kwargs: dict[str, Any], call: str, isolate: bool | None
) -> object:
    asked = Example(args=args, kwargs=kwargs, output=None, split="test")
    with worker(isolate, call[:80]) as sandbox:
        outcome = sandbox.execute(*program.job([asked]))[0]
    if outcome.error:
        raise PbbError(
            f"ask: {call[:80]}: the program itself fails on it: {outcome.error}: give another value"
        )
    return outcome.value
