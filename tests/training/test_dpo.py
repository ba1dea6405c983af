"""DPO on a tiny model: pairs of its own verified answers, the loss that is written down, and no trace of a kill."""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from pbb.documents.corpus import write_documents
from pbb.documents.render import execution, templates
from pbb.models.decode import decode
from pbb.programs.program import Program
from pbb.progress import Progress
from pbb.steps import train
from pbb.training.dpo import HAND, dpo
from pbb.training.loop import Settings
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Reward

Refused = Callable[..., AbstractContextManager[None]]
GROUP, LONGEST, BATCH = 4, 6, 8
QUESTIONS = [[2, *random.Random(i).sample(range(4, 90), 3 + i % 4), 3] for i in range(HAND + 11)]


class Killed(Exception):
    pass


def coin(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
    """A reward that an untrained model varies in."""
    return [Reward(float(zlib.crc32(t.encode()) % 2), t or None, "?", len(t) / 100) for t in texts]


class Trained:
    """One call of `dpo` on the model of a folder, and what it left."""

    def __init__(self, out: Path, folder: Path, tokenizer: PreTrainedTokenizerFast, **dials: Any) -> None:
        self.out, self.folder, self.tokenizer = out, folder, tokenizer
        out.mkdir()
        own = {key: dials.pop(key) for key in list(dials) if key in Settings.model_fields}
        base = {"learning_rate": 1e-3, "warmup": 1, "checkpoint_seconds": 1e-9, "batch_size": BATCH}
        self.settings = Settings.model_validate(base | own)
        self.dials = Dpo.model_validate({"group_size": GROUP, "max_tokens": LONGEST} | dials)
        self.told: list[tuple[float, str]] = []
        self.draws = 0
        self.measured: dict[str, float] = {}

    def run(
        self,
        kill_at: float | None = None,
        reward: Callable[[Sequence[int], Sequence[str]], list[Reward]] = coin,
        questions: list[list[int]] = QUESTIONS,
    ) -> None:
        """`kill_at`: raise when as much or more of the two parts, drawing and training, is reported."""

        def report(done: float, total: float, note: str) -> None:
            self.told.append((done, note))
            if kill_at is not None and done >= kill_at:
                raise Killed

        def decoder(*given: Any, **named: Any) -> Any:
            self.draws += 1
            return decode(*given, **named)

        torch.set_float32_matmul_precision("highest")
        model = AutoModelForCausalLM.from_pretrained(
            self.folder, dtype=torch.float32, attn_implementation="eager"
        )
        self.measured = dpo(
            model, self.tokenizer, questions, decoder, reward, self.settings, self.dials, self.out, report
        )

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / name).read_text().splitlines()]

    def rows(self) -> list[dict[str, Any]]:
        """The metrics without what a clock decides."""
        return [{k: v for k, v in row.items() if k != "seconds"} for row in self.lines("metrics.jsonl")]

    def weights(self) -> bytes:
        return (self.out / "model" / "model.safetensors").read_bytes()


Training = Callable[..., Trained]


@pytest.fixture(scope="module")
def training(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    numbers = count()
    base = tmp_path_factory.mktemp("dpo")
    return lambda **dials: Trained(base / str(next(numbers)), model_folder, tokenizer, **dials)


@pytest.fixture(scope="module")
def undisturbed(training: Training) -> Trained:
    t = training()
    t.run()
    return t


@pytest.mark.parametrize("kills", [(0.5,), (1.0,), (1.3,), (0.7, 1.6, 2.0)])
def test_a_killed_training_goes_on_as_the_undisturbed_one(
    kills: tuple[float, ...], training: Training, undisturbed: Trained
) -> None:
    t = training()
    for at in kills:
        with pytest.raises(Killed):
            t.run(kill_at=at)
    drawn = t.draws
    t.run()
    assert (t.draws == drawn) == (kills[-1] > 1)  # pairs that are whole are not drawn anew
    for name in ("pairs.jsonl", "strangest.jsonl"):
        assert t.lines(name) == undisturbed.lines(name)
    assert t.rows() == undisturbed.rows() and t.weights() == undisturbed.weights()
    told = {k: v for k, v in t.measured.items() if k not in ("seconds", "peak_bytes")}
    assert told.items() <= undisturbed.measured.items()


def test_pairs_are_of_one_prompt_verified_and_of_the_seed(training: Training, undisturbed: Trained) -> None:
    rows = undisturbed.lines("pairs.jsonl")
    assert [row["prompt"] for row in rows] == sorted({row["prompt"] for row in rows})  # at most one a prompt
    assert rows[-1]["prompt"] >= HAND  # of the second hand too
    for row in rows:
        values = [r.value for r in coin([], [row["chosen"], row["rejected"]])]
        assert values == row["reward"] == [1, 0]
        assert row["asked"] == undisturbed.tokenizer.decode(
            QUESTIONS[row["prompt"]], skip_special_tokens=True
        )
        for kind in ("chosen", "rejected"):
            read = undisturbed.tokenizer.decode(row[f"{kind}_ids"], skip_special_tokens=True)
            assert read == row[kind] and 0 < len(row[f"{kind}_ids"]) <= LONGEST
    other = training(seed=1)
    other.run()
    assert other.lines("pairs.jsonl") != rows


def test_the_loss_is_that_of_the_paper(training: Training, model_folder: Path) -> None:
    """-log sigmoid(beta x (how much likelier the better became than the worse)): log 2 before anything is learned, then reckoned here."""
    t = training(beta=0.3, batch_size=1000, learning_rate=1e-12, likelihood=0.5)
    t.run()
    rows = t.lines("pairs.jsonl")
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    likely: dict[str, list[torch.Tensor]] = {"chosen": [], "rejected": []}
    with torch.inference_mode():
        for row in rows:
            prompt = QUESTIONS[row["prompt"]]
            for kind, seen in likely.items():
                answer = row[f"{kind}_ids"]
                logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
                seen.append(logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0])
    (logged,) = t.rows()
    for kind, seen in likely.items():
        mean = sum(float(s.sum()) for s in seen) / len(seen)
        assert logged[f"logp_{kind}"] == pytest.approx(mean, rel=1e-4)
    own = -float(torch.cat(likely["chosen"]).mean())
    assert logged["loss"] == pytest.approx(math.log(2) + 0.5 * own, rel=1e-4)


def test_every_row_says_all_there_is_to_say(undisturbed: Trained) -> None:
    t = undisturbed
    pairs = t.lines("pairs.jsonl")
    lengths = [2 * len(QUESTIONS[r["prompt"]]) + len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in pairs]
    steps = math.ceil(len(pairs) / BATCH)
    assert [row["step"] for row in t.rows()] == list(range(1, steps + 1))
    for row in t.lines("metrics.jsonl"):
        assert set(row) == {
            "step", "steps", "loss", "grad_norm", "learning_rate", "preferred", "margin", "logp_chosen", "logp_rejected",
            "tokens", "seconds",
        }  # fmt: skip
    assert t.rows()[-1]["tokens"] == t.measured["tokens"] == sum(lengths)
    assert (t.measured["prompts"], t.measured["pairs"]) == (len(QUESTIONS), len(pairs))
    assert t.measured["zero_variance"] == pytest.approx(1 - len(pairs) / len(QUESTIONS))
    done = [d for d, _ in t.told]
    assert done == sorted(done) and done[-1] == 2 and [n for d, n in t.told if d <= 1] == ["drawing"] * 2
    assert {p.name for p in t.out.iterdir()} == {
        "metrics.jsonl", "pairs.jsonl", "drawn.json", "strangest.jsonl", "model", "checkpoints",
    }  # fmt: skip
    strange = t.lines("strangest.jsonl")
    assert len(strange) == 10 and min(r["unlike"] for r in strange) >= sorted(p["unlike"] for p in pairs)[-10]


@pytest.mark.parametrize(
    ("dials", "reached"), [({"beta": 0.3}, 0.75), ({"beta": 0.0, "likelihood": 1.0}, 0.58)]
)
def test_what_earns_more_is_drawn_more_often(
    dials: dict[str, float], reached: float, training: Training
) -> None:
    """A reward for how an answer begins, which about half of an untrained model's earn by chance."""

    def beginning(prompts: Sequence[int], texts: Sequence[str]) -> list[Reward]:
        return [Reward(float(ord((t or " ")[0]) % 2), t, "?") for t in texts]

    t = training(**dials, learning_rate=2e-2, max_tokens=3, batch_size=16, checkpoint_seconds=1e9)
    t.run(questions=QUESTIONS * 16, reward=beginning)
    model = AutoModelForCausalLM.from_pretrained(
        t.out / "model", dtype=torch.float32, attn_implementation="eager"
    )
    asked = QUESTIONS * 8
    written = decode(model, asked, end=1, pad=0, limits=[3] * len(asked), temperature=1.0)
    texts = [t.tokenizer.decode(w.tokens, skip_special_tokens=True) for w in written]
    after = sum(r.value for r in beginning([], texts)) / len(texts)
    assert after > reached > 0.54 > t.measured["reward"]  # what the same model drew before
    if dials["beta"]:
        assert t.rows()[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
        assert all(0 <= row["preferred"] <= 1 for row in t.rows())
    else:  # there is no such measure without a beta
        assert all(row["preferred"] is row["margin"] is None for row in t.rows())


def test_adapters_are_trained_against_the_model_without_them(training: Training, model_folder: Path) -> None:
    t = training(lora=4)
    t.run()
    before, after = (load_file(p / "model.safetensors") for p in (model_folder, t.out / "model"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.endswith("_proj.weight") for name in changed)
    again = training(lora=4)
    with pytest.raises(Killed):
        again.run(kill_at=1.5)
    again.run()
    assert again.weights() == t.weights() and again.rows() == t.rows()
    assert t.rows()[0]["margin"] == pytest.approx(0, abs=1e-6)


def test_nothing_to_ask_and_nothing_to_prefer_are_refused(training: Training, refused: Refused) -> None:
    with refused("training", "no documents", "share"):
        training().run(questions=[])
    with refused("training", "no pair", "warm", "group_size"):
        training().run(reward=lambda prompts, texts: [Reward(1.0, None, "?") for _ in texts])


def test_a_step_of_a_recipe_is_trained_by_its_dials(
    programs: list[Program], model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pbb.reward.rewards", lambda documents, share: coin)
    t, rng = templates("arithmetic"), random.Random(0)
    shown = [p for p in programs if p.group == "io"][:3]
    documents = [execution(p, p.calls("train")[k], "trace", t, rng) for p in shown for k in range(2)]
    write_documents(documents, tmp_path / "documents.jsonl")
    (tmp_path / "counts.json").write_text(json.dumps({"io execution": 2.0}))
    out = tmp_path / "out"
    out.mkdir()
    train(
        {
            "settings": {"dpo": {"group_size": 6, "max_tokens": 5}, "learning_rate": 1e-4, "seed": 0},
            "model": str(model_folder),
        },
        {"documents": tmp_path},
        out,
        Progress(),
    )
    measured = json.loads((out / "training.json").read_text())
    assert measured["prompts"] == 6 and measured["exposures"] == {"io prompt": 2.0}
