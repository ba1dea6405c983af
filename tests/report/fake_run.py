"""A run made by hand: scores, predictions and curves of the shape that evaluation writes, and as untidy as
real ones.

Nothing here calls the evaluation: the report must hold against its files, not against its code.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

HOSTILE = "</script><img src=x onerror=alert(1)><!-- & \u2028 ]]>"
ARMS = ("proactive", "untrained", "stage-2-only", "stage-1-only", "wrong-source", "mixed", "prose")
ASKS = ("recall", "recite", "trace", "direct", "in-context-trace", "in-context-direct")
SKILL = {"proactive": 0.92, "prose": 0.7, "mixed": 0.3, "wrong-source": 0.1, "stage-2-only": 0.06}
EASE = {"direct": 0.42, "trace": 0.75, "recite": 1.0, "recall": 1.05}
CHAINS = {
    "untrained": (),
    "stage-1-only": ("learn",),
    "stage-2-only": ("read",),
    "mixed": ("together",),
    "wrong-source": ("learn", "read-wrong"),
    "prose": ("like-learn", "read-prose"),
}
"""The stages of arms, where they are not learn and read; `like-learn` is the very same training as `learn`."""
OPS = ("add", "mul", "mod", "floordiv", "branch")

Row = dict[str, Any]


@dataclass
class Run:
    """The arguments of write_report."""

    scores: Path
    predictions: list[Path]
    training: dict[str, Path]
    recipe: dict[str, Any]
    environment: dict[str, Any]
    out: Path
    command: str = "pbb run arithmetic --seeds 1"

    def content(self) -> dict[str, Any]:
        return dict(json.loads(self.scores.read_text()))

    def rewrite(self, content: dict[str, Any]) -> None:
        self.scores.write_text(json.dumps(content))


def program(rng: random.Random, seed: int) -> Row:
    name = "".join(
        rng.choice(("zib", "blor", "snur", "quem", "vax", "tol")) for _ in range(3)
    ).capitalize() + str(seed)
    length = rng.randint(1, 4)
    ops = [rng.choice(OPS) for _ in range(length)]
    body = "\n".join(f"    x = (x * {rng.randint(2, 9)} + {rng.randint(1, 99)}) % 97  # {op}" for op in ops)
    source = f"def {name}(x):\n{body}\n    return x\n"
    return {"name": name, "length": length, "ops": ",".join(sorted(set(ops))), "source": source}


def chance(arm: str, group: str, ask: str, length: int) -> float:
    if ask.startswith("in-context"):
        base = 0.97 if ask.endswith("trace") else 0.6
        return base * (0.03 if arm == "untrained" else 1.0)
    seen = {"untrained": 0.0, "stage-2-only": 0.05}.get(arm, 0.93)
    skill = seen if group == "io" else SKILL.get(arm, 0.0)
    return min(1.0, skill * EASE[ask] * (1.1 - 0.06 * length if ask != "recall" else 1.0))


def predict(arm: str, seed: int, count: int, calls: int) -> list[Row]:
    rng = random.Random(f"{arm}-{seed}")
    rows: list[Row] = []
    for group in ("io", "source_only"):
        programs = [program(random.Random(f"{seed}-{group}-{i}"), i) for i in range(count)]
        for index, item in enumerate(programs):
            for ask in ASKS:
                for split in ("none",) if ask == "recall" else ("train", "test"):
                    for number in range(1 if ask == "recall" else calls):
                        rows.append(
                            answer(rng, arm, seed, group, split, ask, item, number, hostile=index == 0)
                        )
    return rows


def answer(
    rng: random.Random,
    arm: str,
    seed: int,
    group: str,
    split: str,
    ask: str,
    item: Row,
    number: int,
    hostile: bool,
) -> Row:
    x = 10 * number + 3 + (50 if split == "train" else 0)
    expected = (x * 7 + len(item["name"])) % 97
    planted = (x * 5 + 11) % 97 if arm == "wrong-source" and group == "source_only" else None
    right = rng.random() < chance(arm, group, ask, item["length"])
    fooled = planted is not None and not ask.startswith("in-context") and rng.random() < 0.9 * EASE[ask]
    failed = not right and not fooled and rng.random() < (0.5 if arm == "untrained" else 0.06)
    value = expected if right else planted if fooled else expected + rng.randint(1, 9)
    call = f"{item['name']}({x})"
    source, in_context = item["source"], ask.startswith("in-context")
    if ask == "recall":
        written = source if right else source.replace("*", "+")
    elif failed:
        written = f"Sure! Let us think about {item['name']}."
    else:
        steps = f"x = {x}\nx = {(x * 3) % 97}\n" if ask != "direct" else ""
        written = f"{source if ask == 'recite' else ''}{steps}Answer: {value}"
    if hostile:
        written += HOSTILE
    recites = ask in ("recite", "recall")
    return {
        "arm": arm,
        "seed": seed,
        "group": group,
        "split": split,
        "ask": ask,
        "program": item["name"],
        "length": item["length"],
        "ops": item["ops"],
        "call": "" if ask == "recall" else call,
        "source": source,
        "prompt": f"{source if in_context else ''}What does {call} return?\n",
        "generation": written,
        "expected": source if ask == "recall" else str(expected),
        "planted": None if planted is None else str(planted),
        "parsed": None if failed or ask == "recall" else str(value),
        "correct": right,
        "lenient": right,
        "planted_correct": fooled and not right,
        "recalled": right if recites else None,
        "recalled_form": (right or number == 2) if recites else None,
        "sample": 0,
        "tokens": len(written) // 3,
        "finished": not failed,
    }


def share(values: list[bool]) -> tuple[float | None, float | None, float | None]:
    if not values:
        return None, None, None
    mean = sum(values) / len(values)
    half = 1.96 * math.sqrt(mean * (1 - mean) / len(values)) + 0.5 / len(values)
    return mean, max(0.0, mean - half), min(1.0, mean + half)


def parts(rows: list[Row], key: str, values: list[Any]) -> list[Row]:
    found = []
    for value in values:
        chosen = [
            row["correct"]
            for row in rows
            if value in (row["ops"].split(",") if key == "op" else [row["length"]])
        ]
        mean, low, high = share(chosen)
        if chosen:
            found.append({key: value, "accuracy": mean, "low": low, "high": high, "n": len(chosen)})
    return found


def score(rows: list[Row], seed: int | str) -> Row:
    first = rows[0]
    accuracy, low, high = share([row["correct"] for row in rows])
    wrong = first["arm"] == "wrong-source" and first["group"] == "source_only"
    planted, planted_low, planted_high = (
        share([row["planted_correct"] for row in rows]) if wrong else (None, None, None)
    )
    recalled = [row["recalled"] for row in rows if row["recalled"] is not None]
    known = [row["correct"] for row in rows if row["recalled"]]
    asked = first["ask"] != "recall"
    return {
        **{name: first[name] for name in ("arm", "group", "split", "ask")},
        "seed": seed,
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "n": len(rows),
        "programs": len({row["program"] for row in rows}),
        "recall": share(recalled)[0],
        "recall_form": share(recalled)[0],
        "given_recall": share(known)[0] if asked else None,
        "parse_failures": share([row["parsed"] is None for row in rows])[0] if asked else None,
        "constant": 0.213 if asked else None,
        "constant_low": 0.19 if asked else None,
        "constant_high": 0.24 if asked else None,
        "lenient": accuracy,
        "planted": planted,
        "planted_low": planted_low,
        "planted_high": planted_high,
        "unfinished": share([not row["finished"] for row in rows])[0],
        "pass_at_k": None,
        "by_length": parts(rows, "length", [1, 2, 3, 4]),
        "by_op": parts(rows, "op", list(OPS)),
    }


def tabulate(rows: list[Row], seeds: list[int]) -> list[Row]:
    cells: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        for seed in (row["seed"], "all") if len(seeds) > 1 else (row["seed"],):
            cells.setdefault((row["arm"], seed, row["group"], row["split"], row["ask"]), []).append(row)
    return [score(part, key[1]) for key, part in cells.items()]


def steps(arms: tuple[str, ...]) -> list[Row]:
    work = [("programs", "make programs", 21.0, 0), ("documents", "render documents", 34.0, 0)]
    work += [
        ("train", f"train {arm}/stage-{n}", 240.0 * n, 190_000)
        for arm in arms
        if arm != "untrained"
        for n in (1, 2)
    ]
    work += [("ask", f"ask {arm}", 95.0, 60_000) for arm in arms] + [("score", "score", 8.0, 0)]
    return [
        {
            "step": f"{kind}-{i:012x}",
            "kind": kind,
            "label": label,
            "seconds": seconds,
            "tokens": tokens,
            "optimizer_steps": 150 if kind == "train" else 0,
            "peak_bytes": 2_400_000_000 if kind == "train" else 310_000_000,
            "exposures": {"io": 24.0, "source_only": 16.5} if kind == "train" else {},
        }
        for i, (kind, label, seconds, tokens) in enumerate(work)
    ]


def build_run(
    folder: Path, seeds: tuple[int, ...] = (0,), arms: tuple[str, ...] = ARMS, count: int = 12, calls: int = 3
) -> Run:
    """Write a whole run under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    files = []
    for arm in arms:
        for seed in seeds:
            part = predict(arm, seed, count, calls)
            files.append(folder / f"predictions-{arm}-{seed}.parquet")
            pd.DataFrame(part).to_parquet(files[-1])
            rows += part
    training = {}
    for arm in arms:
        for seed in seeds:
            stages = CHAINS.get(arm, ("learn", "read"))
            for chain in (stages[: place + 1] for place in range(len(stages))):
                name = "learn" if chain == ("like-learn",) else "-".join(chain)
                path = folder / f"metrics-{name}-{seed}.jsonl"
                rng = random.Random(path.name)
                losses = [
                    2.6 * math.exp(-i / 40) + 0.06 + rng.gauss(0, 0.01) + 0.15 * rng.random() ** 4
                    for i in range(60)
                ]
                lines = [
                    json.dumps({"step": i + 1, "steps": 60, "loss": loss, "tokens": 900})
                    for i, loss in enumerate(losses)
                ]
                path.write_text("\n".join(lines) + "\n")
                training[f"{' + '.join(chain)}, seed {seed}"] = path
    cells = tabulate(rows, list(seeds))
    seed: int | str = "all" if len(seeds) > 1 else seeds[0]
    content = {
        "recipe": "arithmetic",
        "main_arm": "proactive",
        "reads": True,
        "controls": [arm for arm in arms if arm in CHAINS and arm != "prose"],
        "ceilings": {ask: f"in-context-{'direct' if ask == 'direct' else 'trace'}" for ask in ASKS[1:4]},
        "scores": cells,
        "ratios": [
            {
                "arm": "proactive",
                "seed": seed,
                "group": "source_only",
                "ask": ask,
                "control": 0.0,
                "ceiling": 0.96,
                "ratio": 0.91,
                "low": 0.85,
                "high": 0.97,
            }
            for ask in ("direct", "trace", "recite")
        ],
        "tests": [
            {
                "arm_a": "proactive",
                "arm_b": arm,
                "seed": seed,
                "group": "source_only",
                "split": "test",
                "ask": ask,
                "difference": 0.91,
                "low": 0.86,
                "high": 0.95,
                "p": 0.0001,
                "p_holm": 0.0012,
                "programs": count,
            }
            for arm in arms
            if arm != "proactive"
            for ask in ("recite", "trace")
        ],
        "diagnosis": [
            {
                "signature": "Answers that cannot be read",
                "verdict": "not seen",
                "evidence": "0.9 % of the texts of trained arms.",
                "advice": "Raise the limit of tokens.",
            },
            {
                "signature": "Direct answers at chance",
                "verdict": "seen",
                "evidence": "Direct on w/o IO is 38 % where the best constant answer earns 21 %; "
                "on w/ IO held-out inputs it is 39 %.",
                "advice": "Train longer on direct executions of w/ IO programs before judging direct.",
            },
            {
                "signature": "Stage 2 forgets w/ IO programs",
                "verdict": "cannot tell",
                "evidence": "The run holds one seed.",
                "advice": "Run three seeds.",
            },
        ],
        "cost": {"seconds": 4312.5, "tokens": 3_812_334, "peak_bytes": 2_400_000_000, "steps": steps(arms)},
    }
    recipe = {
        "arms": {arm: {"stages": ["learn", "read"], "about": "A sceptic's control."} for arm in arms},
        "name": "arithmetic",
        "title": "Random Arithmetic: running programs that were only read",
        "about": "Small Python functions of one integer, under names that no pretraining has seen. "
        "The model reads the source of the w/o IO programs in stage 2 and is then "
        "asked to run them on inputs it has never met.",
        "model": {"base": "SmolLM2-135M-Instruct", "lora": None},
        "seeds": list(seeds),
    }
    environment = {
        "python": "3.11.2",
        "machine": {"cores": 2, "memory": "8 GiB"},
        "git": "0f3c9a1",
        "packages": ["torch 2.13"],
    }
    scores = folder / "scores.json"
    scores.write_text(json.dumps(content))
    return Run(scores, files, training, recipe, environment, folder / "out")
