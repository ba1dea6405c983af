"""The questions of lm-eval/ as a task of Inspect; `pip install pbb` brings the parser."""

import ast
import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState, generate

from pbb.evaluation.answer import equal, parse

QUESTIONS = Path(__file__).parent / "lm-eval" / "questions.jsonl"


@scorer(metrics=[accuracy(), stderr(cluster="program")])
def same_value(ask: str) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        said = parse(state.output.completion, cot=not ask.endswith("direct"))
        right = said.ok and equal(said.value, ast.literal_eval(target.text), lenient=False)
        return Score(value=CORRECT if right else INCORRECT, answer=said.text, explanation=said.reason)

    return score


@task
def run_program(ask: str = "recite") -> Task:
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    rows = [q for q in map(json.loads, lines) if q["ask"] == ask]
    if not rows:
        known = sorted({json.loads(line)["ask"] for line in lines})
        raise ValueError(f"nothing is asked by {ask}: choose one of {', '.join(known)}")
    return Task(
        dataset=[
            Sample(input=q["prompt"], target=q["expected"], metadata={"program": q["program"]}) for q in rows
        ],
        solver=generate(),
        scorer=same_value(ask),
        config=GenerateConfig(max_tokens=rows[0]["max_tokens"]),
    )
