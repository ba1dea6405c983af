"""GRPO on a tiny model: prompts in order, rollouts of (seed, step), the loss that is written down, and no trace of a kill."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from pbb.documents.corpus import write_documents
from pbb.documents.render import execution, templates
from pbb.errors import PbbError
from pbb.models.decode import Generation, decode
from pbb.programs.program import Program
from pbb.progress import Progress
from pbb.steps import train
from pbb.training.grpo import grpo
from pbb.training.loop import Settings
from pbb.training.rollouts import Grpo, Reward

Refused = Callable[..., AbstractContextManager[None]]
GROUP, PROMPTS, STEPS, LONGEST = 4, 2, 6, 8
QUESTIONS = [[2, *random.Random(i).sample(range(4, 90), 3 + i % 4), 3] for i in range(PROMPTS * STEPS - 1)]


class Killed(Exception):
    pass


def coin(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
    """A reward that an untrained model varies in."""
    return [
        Reward(float(zlib.crc32(t.encode()) % 2), t or None, "?", len(t) / 100)
        for _, t in zip(prompts, texts, strict=True)
    ]


class Trained:
    """One call of `grpo` on the model of a folder, what it drew and what it left."""

    def __init__(self, out: Path, folder: Path, tokenizer: PreTrainedTokenizerFast, **dials: Any) -> None:
        self.out, self.folder, self.tokenizer = out, folder, tokenizer
        out.mkdir(exist_ok=True)
        own = {key: dials.pop(key) for key in list(dials) if key in Settings.model_fields}
        self.settings = Settings.model_validate(
            {"learning_rate": 3e-3, "warmup": 2, "checkpoint_seconds": 1e-9} | own
        )
        small = {"group_size": GROUP, "prompts_per_step": PROMPTS, "max_tokens": LONGEST}
        self.dials = Grpo.model_validate(small | dials)
        self.told: list[float] = []
        self.asked: list[list[int]] = []
        self.drawn: list[list[tuple[list[int], list[int]]]] = []  # by draw: (prompt, what was written)

    def run(
        self,
        kill_at: int | None = None,
        reward: Callable[[Sequence[int], Sequence[str]], list[Reward]] = coin,
        questions: list[list[int]] = QUESTIONS,
    ) -> dict[str, float]:
        """`kill_at`: raise when that step is reported, which is after the checkpoint of the step before it."""

        def report(done: float, total: float, note: str) -> None:
            self.told.append(done)
            if done == kill_at:
                raise Killed

        def decoder(model: Any, prompts: Sequence[Sequence[int]], **named: Any) -> Any:
            # An untrained model hardly ever ends; rollouts that all have one length would hide how losses count tokens.
            written = [
                Generation(w.tokens[: (k := 1 + sum(w.tokens) % LONGEST)], w.finished or k < len(w.tokens))
                for w in decode(model, prompts, **named)
            ]
            ended = [w.tokens + [named["end"]] * w.finished for w in written]
            self.drawn.append([(list(p), w) for p, w in zip(prompts, ended, strict=True)])
            return written

        def rewarded(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
            self.asked.append(list(prompts))
            return reward(prompts, texts)

        model = AutoModelForCausalLM.from_pretrained(
            self.folder, dtype=torch.float32, attn_implementation="eager"
        )
        return grpo(
            model, self.tokenizer, questions, decoder, rewarded, self.settings, self.dials, self.out, report
        )

    def lines(self, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / name).read_text().splitlines()]

    def rows(self) -> list[dict[str, Any]]:
        """The metrics without what a clock decides."""
        return [{k: v for k, v in row.items() if k != "seconds"} for row in self.lines()]

    def weights(self) -> bytes:
        return (self.out / "model" / "model.safetensors").read_bytes()


Training = Callable[..., Trained]


@pytest.fixture(scope="module")
def training(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    numbers = count()
    base = tmp_path_factory.mktemp("grpo")
    torch.set_float32_matmul_precision("highest")

    def start(**dials: Any) -> Trained:
        return Trained(base / str(next(numbers)), model_folder, tokenizer, **dials)

    return start


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "kl": {"kl": 0.05, "optimizer": "muon"},
    "reused": {"iterations": 2, "kl": 0.05},
}


@pytest.fixture(scope="module")
def undisturbed(training: Training) -> dict[str, Trained]:
    """By way, a training that nothing has stopped."""
    done = {}
    for name, dials in WAYS.items():
        done[name] = training(**dials)
        done[name].run()
    return done


@pytest.mark.parametrize(
    ("way", "kills"),
    [("plain", (1,)), ("plain", (3, 5)), ("kl", (4,)), ("kl", (STEPS,)), ("reused", (4,)), ("reused", (7,))],
)
def test_a_killed_training_goes_on_as_the_undisturbed_one(
    way: str, kills: tuple[int, ...], training: Training, undisturbed: dict[str, Trained]
) -> None:
    whole, t = undisturbed[way], training(**WAYS[way])
    for at in kills:
        with pytest.raises(Killed):
            t.run(kill_at=at)
    t.told.clear()
    t.run()
    span = t.dials.iterations
    assert t.told == list(range((kills[-1] - 1) // span * span + 1, STEPS * span + 1))  # not begun anew
    assert t.rows() == whole.rows()  # rewards, losses, KL and all else
    assert t.lines("rollouts.jsonl") == whole.lines("rollouts.jsonl")
    assert t.lines("strangest.jsonl") == whole.lines("strangest.jsonl")
    assert t.weights() == whole.weights()


@pytest.mark.usefixtures("two_gpus")
def test_of_several_gpus_one_process_takes_one(training: Training, undisturbed: dict[str, Trained]) -> None:
    t = training()
    t.run()
    assert t.weights() == undisturbed["plain"].weights()


def test_prompts_come_in_file_order_and_from_the_first_again(undisturbed: dict[str, Trained]) -> None:
    numbers = [*range(len(QUESTIONS)), 0]
    for t in undisturbed.values():
        assert t.asked == [
            [i for i in numbers[k : k + PROMPTS] for _ in range(GROUP)]
            for k in range(0, len(numbers), PROMPTS)
        ]
        shown = [p for draw in t.drawn for p, _ in draw]
        assert shown == [QUESTIONS[i] for asked in t.asked for i in asked]


def test_rollouts_are_those_of_seed_and_step(training: Training, undisturbed: dict[str, Trained]) -> None:
    again, other = training(), training(seed=1)
    again.run()
    other.run()
    whole = undisturbed["plain"]
    assert again.drawn == whole.drawn and again.weights() == whole.weights()
    assert other.drawn[0] != whole.drawn[0]
    first = [w for _, w in whole.drawn[0]]
    assert len({tuple(w) for w in first[:GROUP]}) > 1  # a group is drawn, not copied
    # The same question at another step is answered with other numbers of luck.
    t = training(learning_rate=1e-12, steps=2, prompts_per_step=1)
    t.run(questions=QUESTIONS[:1])
    assert t.drawn[0] != t.drawn[1]


def advantages(rewards: list[float], scaled: bool) -> list[float]:
    result = []
    for k in range(0, len(rewards), GROUP):
        group = torch.tensor(rewards[k : k + GROUP])
        result += ((group - group.mean()) / (group.std() + 1e-4 if scaled else 1)).tolist()
    return result


@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "dr_grpo"])
def test_the_loss_is_a_mean_over_groups_with_variance(
    loss_type: str, training: Training, undisturbed: dict[str, Trained]
) -> None:
    """On-policy the ratio is 1, so that the loss is a mean of -advantage: over tokens (dapo), over rollouts (grpo), or without dividing
    by the group's deviation over as many tokens as there might have been (dr_grpo)."""
    t = undisturbed["plain"] if loss_type == "dapo" else training(loss_type=loss_type)
    if loss_type != "dapo":
        t.run()
    some_dead = False
    for row, draw in zip(t.rows(), t.drawn, strict=True):
        texts = [t.tokenizer.decode(w, skip_special_tokens=True) for _, w in draw]
        values = [r.value for r in coin(range(len(texts)), texts)]
        lengths = [len(w) for _, w in draw]
        live = [k for k in range(len(values)) if len(set(values[k // GROUP * GROUP :][:GROUP])) > 1]
        good = advantages(values, scaled=loss_type != "dr_grpo")
        gained = sum(good[k] * (1 if loss_type == "grpo" else lengths[k]) for k in live)
        over = {
            "dapo": sum(lengths[k] for k in live), "grpo": len(live), "dr_grpo": LONGEST * len(live),
        }[loss_type]  # fmt: skip
        assert row["loss"] == pytest.approx(-gained / over if live else 0, abs=1e-5)
        assert row["reward"] == pytest.approx(sum(values) / len(values))
        assert row["zero_variance"] == 1 - len(live) / len(values)
        assert row["completion_length"] == sum(lengths) / len(lengths)
        assert row["clip_ratio"] == 0 and (row["grad_norm"] > 0) == bool(live)
        some_dead = some_dead or 0 < row["zero_variance"] < 1
    assert some_dead, "no step of this test has a group to leave out"


def test_entropy_is_that_of_the_distribution_drawn_from(training: Training, model_folder: Path) -> None:
    """One rollout at a time, without padding, at the temperature of the draw; so are the log-probabilities behind KL."""
    t = training(temperature=2.0, kl=0.05, steps=1)
    t.run()
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    entropies = []
    with torch.inference_mode():
        for prompt, written in t.drawn[0]:
            logits = model(torch.tensor([prompt + written])).logits[0, len(prompt) - 1 : -1]
            likely = (logits / 2.0).log_softmax(-1)
            entropies += (-(likely.exp() * likely).sum(-1)).tolist()
    assert t.rows()[0]["entropy"] == pytest.approx(sum(entropies) / len(entropies), rel=1e-4)


def test_every_step_says_all_there_is_to_say(undisturbed: dict[str, Trained]) -> None:
    for name, t in undisturbed.items():
        rows = t.lines()
        steps = STEPS * t.dials.iterations
        assert [row["step"] for row in rows] == list(range(1, steps + 1)) == t.told
        for row in rows:
            assert set(row) == {
                "step", "steps", "loss", "grad_norm", "learning_rate", "reward", "zero_variance", "completion_length",
                "parse_failures", "unfinished", "entropy", "kl", "clip_ratio", "tokens", "seconds",
            }  # fmt: skip
            assert row["steps"] == steps and 0 < row["completion_length"] <= LONGEST
        kl = [row["kl"] for row in rows]
        if name == "plain":
            assert kl == [None] * steps
        else:
            assert kl[0] == pytest.approx(0, abs=1e-6) and max(kl) > 1e-6 and min(kl) > -1e-6
        seen = sum(len(p) + len(w) for draw in t.drawn for p, w in draw)
        assert rows[-1]["tokens"] == seen
        assert {p.name for p in t.out.iterdir()} == {
            "metrics.jsonl", "rollouts.jsonl", "strangest.jsonl", "model", "checkpoints",
        }  # fmt: skip
    reused = undisturbed["reused"].rows()
    assert [row["reward"] for row in reused[::2]] == [row["reward"] for row in reused[1::2]]


def test_what_earns_more_is_drawn_more_often(training: Training) -> None:
    """A reward for how an answer begins, which about half of an untrained model's earn by chance."""

    def beginning(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
        return [Reward(float(ord((t or " ")[0]) % 2), t, "?") for t in texts]

    t = training(steps=40, group_size=8, learning_rate=2e-2, max_tokens=3, checkpoint_seconds=1e9)
    t.run(reward=beginning)
    rewards = [row["reward"] for row in t.rows()]
    assert sum(rewards[:5]) / 5 < 0.7 < 0.85 < sum(rewards[-5:]) / 5, rewards


def test_where_all_earn_the_same_there_is_nothing_to_learn(training: Training) -> None:
    t = training(steps=2)
    t.run(reward=lambda prompts, texts: [Reward(1.0, None, "?") for _ in texts])
    for row in t.rows():
        assert (row["loss"], row["grad_norm"], row["zero_variance"], row["parse_failures"]) == (0, 0, 1, 1)


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_adapters_are_reinforced_and_merged(kl: float, training: Training, model_folder: Path) -> None:
    t = training(lora=4, kl=kl)
    t.run()
    before, after = (load_file(p / "model.safetensors") for p in (model_folder, t.out / "model"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.endswith("_proj.weight") for name in changed)
    assert all((row["kl"] is not None) == bool(kl) for row in t.rows())
    again = training(lora=4, kl=kl)
    with pytest.raises(Killed):
        again.run(kill_at=3)
    again.run()
    assert again.weights() == t.weights() and again.rows() == t.rows()


def test_nothing_to_ask_is_refused(training: Training, refused: Refused) -> None:
    with refused("training", "no documents", "share"):
        training().run(questions=[])


def test_a_step_of_a_recipe_is_trained_by_its_dials(
    programs: list[Program], model_folder: Path, tmp_path: Path
) -> None:
    t, rng = templates("arithmetic"), random.Random(0)
    shown = [p for p in programs if p.group == "io"][:3]
    documents = [execution(p, p.calls("train")[k], "trace", t, rng) for p in shown for k in range(2)]
    write_documents(documents, tmp_path / "documents.jsonl")
    (tmp_path / "counts.json").write_text(json.dumps({"io execution": 2.0}))
    dials = {"group_size": 2, "prompts_per_step": 4, "max_tokens": 5, "format_share": 0.5}
    out = tmp_path / "out"
    out.mkdir()
    train(
        {"settings": {"grpo": dials, "learning_rate": 1e-4, "seed": 0}, "model": str(model_folder)},
        {"documents": tmp_path},
        out,
        Progress(),
    )
    measured = json.loads((out / "training.json").read_text())
    assert (measured["optimizer_steps"], measured["prompts"]) == (2, 8)
    assert measured["exposures"] == {"io prompt": 2.67}  # two steps of four prompts: the first two come twice
    assert measured["tokens"] > 0
    assert (out / "model" / "model.safetensors").exists()
    rows = [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]
    assert {row["asked"] for row in rows} <= {d.prompt for d in documents}
    assert all(row["true"].lstrip("-").isdigit() for row in rows)


def test_vllm_is_refused_where_it_cannot_run(training: Training) -> None:
    """In one line, before anything is written."""
    if find_spec("vllm") and torch.cuda.is_available():
        pytest.skip("vLLM is here")
    trained = training(vllm=True)
    with pytest.raises(PbbError, match="grpo.vllm needs a CUDA GPU and vLLM: leave it out"):
        trained.run()
    assert not (trained.out / "metrics.jsonl").exists()
