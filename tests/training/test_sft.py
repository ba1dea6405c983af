"""Training reads every document once, learns completions only, and a kill on the way changes no bit of the outcome."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from pbb.models.direct import supports
from pbb.models.load import load
from pbb.training.checkpoint import SEAL
from pbb.training.dials import Tracker
from pbb.training.sft import WINDOW, Settings, Tokens, _Lean, batches, sft

Refused = Callable[..., AbstractContextManager[None]]
Make = Callable[[int], LlamaForCausalLM]
BATCH, STEPS = 4, 10


@given(st.lists(st.integers(1, 60), min_size=1, max_size=400), st.integers(1, 9), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_batches_are_a_permutation_of_documents_of_like_length(
    lengths: list[int], size: int, seed: int
) -> None:
    order = batches(lengths, size, seed)
    assert sorted(order) == list(range(len(lengths)))
    assert order == batches(lengths, size, seed)
    for start in range(0, len(order), WINDOW * size):
        window = order[start : start + WINDOW * size]
        chunks = [[lengths[i] for i in window[k : k + size]] for k in range(0, len(window), size)]
        ranges = sorted((min(c), max(c)) for c in chunks)
        assert all(low[1] <= high[0] for low, high in zip(ranges, ranges[1:], strict=False))


def test_batches_are_shuffled_and_pad_little() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(10, 100) for _ in range(2000)]
    order = batches(lengths, 8, 0)
    assert order != batches(lengths, 8, 1)

    def padded(order: Sequence[int]) -> int:
        return sum(8 * max(lengths[i] for i in order[k : k + 8]) for k in range(0, len(order), 8))

    assert padded(order) < 1.05 * sum(lengths) < padded(range(2000))
    longest = [max(lengths[i] for i in order[k : k + 8]) for k in range(0, len(order), 8)]
    rising = sum(a <= b for a, b in zip(longest, longest[1:], strict=False))
    assert 0.4 < rising / len(longest) < 0.6  # short and long batches alternate: nothing is sorted over time
    moved = [abs(order.index(i) - k) for k, i in enumerate(shuffled(2000, 0))]
    assert max(moved) < WINDOW * 8


def shuffled(length: int, seed: int) -> list[int]:
    order = list(range(length))
    random.Random(f"batches:{seed}").shuffle(order)
    return order


def documents(number: int = BATCH * STEPS - 1) -> list[Tokens]:
    """Token pairs of mixed lengths; the last batch is a short one."""
    rng = random.Random(0)
    return [
        ([2, *(rng.randrange(4, 90) for _ in range(rng.randint(1, 9))), 3],
         [*(rng.randrange(4, 90) for _ in range(rng.randint(1, 12))), 1])
        for _ in range(number)
    ]  # fmt: skip


class Killed(Exception):
    pass


class Trained:
    """One call of `sft` on a fresh model of seed 0, and what it left."""

    def __init__(self, out: Path, make: Make, tokenizer: PreTrainedTokenizerFast, **settings: Any) -> None:
        self.out, self.make, self.tokenizer = out, make, tokenizer
        out.mkdir(exist_ok=True)
        self.settings = Settings.model_validate(
            {"batch_size": BATCH, "learning_rate": 3e-3, "warmup": 3, "checkpoint_seconds": 1e-9} | settings
        )
        self.told: list[float] = []

    def run(self, kill_at: int | None = None, docs: list[Tokens] | None = None) -> dict[str, float]:
        """`kill_at`: raise when that step is reported, which is after the checkpoint of the step before it."""

        def report(done: float, total: float, note: str) -> None:
            self.told.append(done)
            if done == kill_at:
                raise Killed

        return sft(
            self.make(0),
            self.tokenizer,
            documents() if docs is None else docs,
            self.settings,
            self.out,
            report,
        )

    def rows(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.out / "metrics.jsonl").read_text().splitlines()]

    def weights(self) -> bytes:
        return (self.out / "model" / "model.safetensors").read_bytes()


Training = Callable[..., Trained]


@pytest.fixture(scope="module")
def training(
    tiny_llama: Make, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    numbers = count()
    base = tmp_path_factory.mktemp("sft")
    torch.set_float32_matmul_precision("highest")

    def start(**settings: Any) -> Trained:
        return Trained(base / str(next(numbers)), tiny_llama, tokenizer, **settings)

    return start


@pytest.fixture(scope="module")
def undisturbed(training: Training) -> dict[str, Trained]:
    """By optimizer, a training that nothing has stopped."""
    done = {}
    for optimizer in ("adamw", "muon"):
        done[optimizer] = training(optimizer=optimizer)
        done[optimizer].run()
    return done


def by_hand(model: LlamaForCausalLM, batch: list[Tokens]) -> float:
    """Mean negative log-likelihood over all completion tokens of the batch, one document at a time."""
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for prompt, completion in batch:
            logits = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
            for k, token in enumerate(completion):
                total -= float(logits[len(prompt) + k - 1, token])
                tokens += 1
    return total / tokens


def test_the_first_loss_is_that_of_the_completions_alone(undisturbed: dict[str, Trained]) -> None:
    t = undisturbed["adamw"]
    docs = documents()
    order = batches([len(p) + len(c) for p, c in docs], BATCH, 0)
    first = [docs[i] for i in order[:BATCH]]
    expected = by_hand(t.make(0), first)
    assert t.rows()[0]["loss"] == pytest.approx(expected, rel=1e-4)
    everything = by_hand(t.make(0), [(p[:1], p[1:] + c) for p, c in first])
    assert everything != pytest.approx(expected, rel=1e-3)  # the prompts' tokens would have shown


def test_the_short_last_batch_counts_its_own_tokens(training: Training) -> None:
    docs = documents(BATCH + 1)
    t = training(learning_rate=1e-12)
    t.run(docs=docs)
    order = batches([len(p) + len(c) for p, c in docs], BATCH, 0)
    losses = [by_hand(t.make(0), [docs[i] for i in order[k : k + BATCH]]) for k in (0, BATCH)]
    assert [row["loss"] for row in t.rows()] == pytest.approx(losses, rel=1e-4)


def test_what_a_prompt_says_is_not_learned(training: Training, tiny_llama: Make) -> None:
    """Forty steps on one dialogue: its completion becomes likely, its prompt hardly more than it was."""
    prompt, completion = [2, 10, 11, 12, 13, 14, 3], [20, 21, 22, 1]
    t = training(learning_rate=1e-2)
    t.run(docs=[(prompt, completion)] * 40 * BATCH)
    trained = AutoModelForCausalLM.from_pretrained(t.out / "model", dtype=torch.float32)
    gained = {
        name: by_hand(tiny_llama(0), [pair]) - by_hand(trained, [pair])
        for name, pair in {"completion": (prompt, completion), "prompt": (prompt[:1], prompt[1:])}.items()
    }
    assert gained["completion"] > 6
    assert gained["prompt"] < 0.5


def test_every_document_is_read_once(undisturbed: dict[str, Trained], training: Training) -> None:
    docs = documents()
    whole = sum(len(p) + len(c) for p, c in docs)
    rows = undisturbed["adamw"].rows()
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert {row["steps"] for row in rows} == {STEPS}
    assert rows[-1]["tokens"] == whole
    measured = training().run()
    assert (measured["tokens"], measured["optimizer_steps"]) == (whole, STEPS)
    assert measured["loss"] == rows[-1]["loss"]
    assert measured["peak_bytes"] > 1e7 and measured["seconds"] > 0


def test_the_rate_warms_up_holds_and_decays(undisturbed: dict[str, Trained]) -> None:
    rates = [row["learning_rate"] for row in undisturbed["adamw"].rows()]
    assert rates == sorted(rates[:3]) + [3e-3] * 4 + sorted(rates[7:], reverse=True)
    assert 0 < rates[-1] < 1.5e-3


@pytest.mark.usefixtures("two_gpus")
def test_of_several_gpus_one_process_takes_one(training: Training, undisturbed: dict[str, Trained]) -> None:
    """TRL refuses Trainer's DataParallel, which would make batches of twice the size besides."""
    t = training()
    t.run()
    assert t.weights() == undisturbed["adamw"].weights()


def test_the_model_the_metrics_and_one_checkpoint_stay(
    undisturbed: dict[str, Trained], training: Training
) -> None:
    t = undisturbed["adamw"]
    assert {p.name for p in t.out.iterdir()} == {"metrics.jsonl", "model", "checkpoints"}
    assert [p.name for p in (t.out / "checkpoints").glob("*-*")] == [f"checkpoint-{STEPS - 1}"]
    again = training()
    again.run()
    assert again.weights() == t.weights()
    assert undisturbed["muon"].weights() != t.weights()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kills", [(1,), (6,), (STEPS,), (3, 8)])
def test_a_killed_training_ends_as_the_undisturbed_one(
    kills: tuple[int, ...], optimizer: str, training: Training, undisturbed: dict[str, Trained]
) -> None:
    t = training(optimizer=optimizer)
    for at in kills:
        with pytest.raises(Killed):
            t.run(kill_at=at)
    t.told.clear()
    t.run()
    assert t.told == list(range(kills[-1], STEPS + 1))  # it went on, and did not begin anew
    assert t.weights() == undisturbed[optimizer].weights()
    told = ("step", "steps", "loss", "grad_norm", "tokens", "learning_rate")
    whole = [[row[key] for key in told] for row in undisturbed[optimizer].rows()]
    assert [[row[key] for key in told] for row in t.rows()] == whole
    seconds = [row["seconds"] for row in t.rows()]
    assert seconds == sorted(seconds)


def test_a_kill_after_the_end_and_before_done_costs_the_last_step_alone(
    training: Training, undisturbed: dict[str, Trained]
) -> None:
    t = training()
    t.run()
    t.told.clear()
    t.run()
    assert t.told == [STEPS]
    assert t.weights() == undisturbed["adamw"].weights()


@pytest.fixture(scope="module")
def with_lora(training: Training) -> Trained:
    t = training(lora=4)
    t.run()
    return t


@pytest.mark.parametrize("kills", [(6,), (STEPS,)])
def test_a_killed_training_of_adapters_ends_as_the_undisturbed_one(
    kills: tuple[int, ...], training: Training, with_lora: Trained
) -> None:
    t = training(lora=4)
    for at in kills:
        with pytest.raises(Killed):
            t.run(kill_at=at)
    t.told.clear()
    t.run()
    assert t.told == list(range(kills[-1], STEPS + 1))
    assert t.weights() == with_lora.weights()
    assert [row["loss"] for row in t.rows()] == [row["loss"] for row in with_lora.rows()]


def test_adapters_are_merged_into_a_plain_folder(with_lora: Trained, tiny_llama: Make) -> None:
    model, _ = load(str(with_lora.out / "model"))
    torch.set_float32_matmul_precision("highest")  # `load` lowers it, and the two would round differently
    assert type(model) is LlamaForCausalLM and supports(model)
    adapter = PeftModel.from_pretrained(tiny_llama(0), with_lora.out / "adapter").eval()
    ids = torch.arange(4, 24)[None]
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(ids).logits, adapter(ids).logits, rtol=1e-4, atol=1e-5)
    changed = {n for n, p in tiny_llama(0).named_parameters() if not torch.equal(p, model.get_parameter(n))}
    assert len(changed) == 2 * 7 and all(
        n.endswith("_proj.weight") for n in changed
    )  # embeddings and norms are as they were


def test_adapters_learn(training: Training) -> None:
    t = training(lora=4, learning_rate=3e-2)
    t.run(docs=[([2, 10, 11, 3], [20, 21, 22, 1])] * 30 * BATCH)
    assert (
        t.rows()[-1]["loss"] < 0.97 * t.rows()[0]["loss"]
    )  # embeddings at random, and frozen: little can be learned


def test_checkpointing_changes_no_bit(training: Training, undisturbed: dict[str, Trained]) -> None:
    t = training(checkpointing=True)
    t.run()
    assert t.weights() == undisturbed["adamw"].weights()


@pytest.mark.parametrize("accumulate", [2, 4])
def test_a_batch_in_several_passes_is_the_same_update(
    accumulate: int, training: Training, undisturbed: dict[str, Trained]
) -> None:
    t = training(accumulate=accumulate)
    measured = t.run()
    assert measured["optimizer_steps"] == STEPS
    for key in ("loss", "grad_norm", "tokens"):
        whole = [row[key] for row in undisturbed["adamw"].rows()]
        assert [row[key] for row in t.rows()] == pytest.approx(whole, rel=2e-3), key


def test_products_in_bfloat16_leave_weights_in_float32(
    training: Training, undisturbed: dict[str, Trained]
) -> None:
    t = training(bf16=True)
    t.run()
    losses = [row["loss"] for row in undisturbed["adamw"].rows()]
    assert [row["loss"] for row in t.rows()] == pytest.approx(losses, rel=0.02)
    assert t.weights() != undisturbed["adamw"].weights()
    assert {v.dtype for v in load_file(t.out / "model" / "model.safetensors").values()} == {torch.float32}


@pytest.mark.skipif(bool(find_spec("trackio")), reason="trackio is installed")
def test_a_tracker_that_is_missing_is_named(training: Training, refused: Refused) -> None:
    with refused("training: report_to: trackio", "pbb[track]"):
        training(report_to=["trackio"]).run()


TRACKED = {"trackio": "**/*.db", "tensorboard": "tensorboard/**/events.*", "wandb": "wandb/**/*.wandb"}


@pytest.mark.parametrize("tracker", TRACKED)
def test_a_tracker_is_told_and_changes_nothing(
    tracker: Tracker,
    training: Training,
    undisturbed: dict[str, Trained],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps its own files, outside of the checkpoints, which go; without a network too."""
    module: Any = pytest.importorskip(f"{tracker}.utils" if tracker == "trackio" else tracker)
    if tracker == "trackio":
        for part in (module, pytest.importorskip("trackio.sqlite_storage")):
            monkeypatch.setattr(part, "TRACKIO_DIR", tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv(
        "TENSORBOARD_LOGGING_DIR", ""
    )  # so that what the training sets there goes with the test
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR")
    t = training(report_to=[tracker])
    t.run()
    assert t.weights() == undisturbed["adamw"].weights()
    told = [p for folder in {tmp_path, t.out} for p in folder.glob(TRACKED[tracker])]
    assert told and sum(p.stat().st_size for p in told) > 1000
    assert not any("checkpoints" in p.parts for p in told)


def test_a_document_beyond_the_models_positions_is_refused(training: Training, refused: Refused) -> None:
    with refused("training", "513 tokens", "reads 512"):
        training().run(docs=[([2] * 500, [3] * 13)])


def test_losses_that_are_means_of_steps_are_the_same_as_well(training: Training) -> None:
    """From 40 steps on a row of the metrics holds the mean of several, some of which may lie before a kill."""
    docs = documents(42 * BATCH)
    whole, t = training(), training()
    whole.run(docs=docs)
    with pytest.raises(Killed):
        t.run(kill_at=10, docs=docs)
    t.run(docs=docs)
    assert [(row["step"], row["loss"]) for row in t.rows()] == [
        (row["step"], row["loss"]) for row in whole.rows()
    ]
    assert [row["step"] for row in t.rows()][:3] == [2, 4, 6]
    assert t.weights() == whole.weights()


def killed(training: Training, at: int = 6) -> Trained:
    t = training()
    with pytest.raises(Killed):
        t.run(kill_at=at)
    return t


def test_a_half_written_line_of_the_metrics_is_dropped(
    training: Training, undisturbed: dict[str, Trained]
) -> None:
    t = killed(training)
    with (t.out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "steps": 10, "lo')
    t.run()
    assert [row["loss"] for row in t.rows()] == [row["loss"] for row in undisturbed["adamw"].rows()]


ORDER = ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", SEAL]


def damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if how == "cut" else b"")
    if how == "missing":
        path.unlink()


@pytest.mark.parametrize("part", ["trainer_state.json", "optimizer.pt", SEAL])
@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_a_half_written_checkpoint_is_passed_over(
    how: str, part: str, training: Training, undisturbed: dict[str, Trained]
) -> None:
    """A kill leaves one file missing, empty or cut, and none of those that are written after it."""
    t = killed(training)
    (newest,) = (t.out / "checkpoints").glob("checkpoint-*")
    assert sorted(ORDER, key=lambda name: (newest / name).stat().st_mtime_ns) == ORDER
    broken = Path(shutil.copytree(newest, newest.with_name("checkpoint-7")))
    for name in ORDER[ORDER.index(part) + 1 :]:
        (broken / name).unlink()
    damaged(broken / part, how)
    t.told.clear()
    t.run()
    assert t.told == list(range(6, STEPS + 1))
    assert t.weights() == undisturbed["adamw"].weights()


@pytest.mark.parametrize("part", ORDER)
def test_a_checkpoint_that_lost_one_file_alone_is_passed_over(
    part: str, training: Training, undisturbed: dict[str, Trained]
) -> None:
    """A power cut may take any file, also one that was written before others that are whole."""
    t = killed(training)
    (newest,) = (t.out / "checkpoints").glob("checkpoint-*")
    damaged(Path(shutil.copytree(newest, newest.with_name("checkpoint-7"))) / part, "cut")
    t.told.clear()
    t.run()
    assert t.told == list(range(6, STEPS + 1))
    assert t.weights() == undisturbed["adamw"].weights()


def test_without_a_whole_checkpoint_training_begins_anew(
    training: Training, undisturbed: dict[str, Trained]
) -> None:
    t = killed(training)
    (only,) = (t.out / "checkpoints").glob("checkpoint-*")
    damaged(only / "model.safetensors", "cut")
    t.told.clear()
    t.run()
    assert t.told == list(range(1, STEPS + 1))
    assert [row["step"] for row in t.rows()] == t.told
    assert t.weights() == undisturbed["adamw"].weights()


def test_the_metrics_outlive_a_disk_that_fills_up_while_they_are_cut_back(
    training: Training, undisturbed: dict[str, Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    t = killed(training)
    before = (t.out / "metrics.jsonl").read_text()
    write = Path.write_text

    def half(path: Path, text: str, *more: Any, **named: Any) -> int:
        write(path, text[: len(text) // 2], *more, **named)
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "write_text", half)
        t.run()
    assert (t.out / "metrics.jsonl").read_text() == before
    t.run()
    assert [row["loss"] for row in t.rows()] == [row["loss"] for row in undisturbed["adamw"].rows()]


def test_nothing_to_train_on_is_refused(training: Training, refused: Refused) -> None:
    with refused("training", "no documents", "share"):
        training().run(docs=[])


def test_a_loss_that_is_no_number_is_refused(training: Training, refused: Refused) -> None:
    t = training(learning_rate=1e30, warmup=0, clip=1e30)
    with refused("training", "not a number", "learning_rate"):
        t.run()
    assert not (t.out / "model").exists()


def test_the_last_step_is_told_and_a_last_loss_that_is_no_number_refused(
    training: Training, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 51 steps every second one is logged."""
    t = training()
    t.run(docs=documents(51 * BATCH))
    assert [row["step"] for row in t.rows()] == [*range(2, 51, 2), 51]
    made: list[torch.Tensor] = []
    summed = _Lean._summed

    def last(self: Any, inputs: Any) -> torch.Tensor:
        made.append(summed(self, inputs))
        return made[-1] * (float("nan") if len(made) == 51 else 1)

    monkeypatch.setattr(_Lean, "_summed", last)
    with refused("not a number after 51 steps"):
        training().run(docs=documents(51 * BATCH))
