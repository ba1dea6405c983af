"""A folder loads as it was saved, a dialogue's tokens are its chat template's, and bad folders are told in one line."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from pbb.models.load import CHATML, autocast_pays, encode, encode_pairs, load, read_tokenizer

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path, **marks: str | None) -> None:
    chat = tokenizer.chat_template
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, **marks)
    fast.chat_template = chat
    fast.save_pretrained(folder)


def test_a_folder_loads_as_it_was_saved(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast, texts: list[str]
) -> None:
    model, loaded = load(str(model_folder))
    saved = load_file(model_folder / "model.safetensors")
    state = model.state_dict()
    assert saved and all(torch.equal(state[name], tensor) for name, tensor in saved.items())
    assert loaded(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert (loaded.eos_token_id, loaded.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert loaded.chat_template == tokenizer.chat_template
    assert model.config._attn_implementation == "eager"


def test_a_model_goes_to_the_gpu_but_where_it_is_to_stay(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    monkeypatch.setattr(PreTrainedModel, "to", lambda self, place: (moved.append(place), self)[1])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    load(str(model_folder), on_gpu=False)
    assert moved == []
    load(str(model_folder))
    assert moved == ["cuda"]


def test_scores_that_a_model_caps_are_capped_on_a_gpu_too(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fused attention that others get there has no cap."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, initializer_range=0.5, attn_logit_softcapping=0.5, pad_token_id=0, eos_token_id=1,
        bos_token_id=None,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    ids = torch.tensor([[7, 300, 41, 9, 12, 100]])
    said = []
    for gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        model, _ = load(str(tmp_path), on_gpu=False)
        assert model.config._attn_implementation == "eager"
        with torch.no_grad():
            said.append(model.eval()(input_ids=ids).logits)
    assert torch.equal(*said)


@pytest.mark.parametrize(("cap", "attention"), [(50.0, "eager"), (None, "sdpa")])
def test_a_part_that_writes_text_is_asked_whether_it_caps(
    cap: float | None, attention: str, folder: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"model_type": "gemma3", "text_config": {"attn_logit_softcapping": cap}}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked: dict[str, object] = {}

    def seen(source: str, **named: object) -> None:
        asked.update(named)
        raise OSError("seen")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", seen)
    with refused("seen"):
        load(str(folder))
    assert asked["attn_implementation"] == attention


def test_weights_are_held_in_float32(folder: Path) -> None:
    path = folder / "model.safetensors"
    halved = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(path).items()}
    save_file(halved, path, metadata={"format": "pt"})
    model, _ = load(str(folder))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("bfloat16", "amx", "pays"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_autocast_pays_where_products_are_fast_in_bfloat16_and_not_rounded_already(
    bfloat16: bool, amx: bool, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert autocast_pays() == pays


def test_pairs_are_the_chat_templates_of_their_dialogues(model_folder: Path, texts: list[str]) -> None:
    _, tokenizer = load(str(model_folder))
    prompts, completions = texts[0::2], texts[1::2]
    for (p, c), prompt, completion in zip(
        encode_pairs(tokenizer, prompts, completions), prompts, completions, strict=True
    ):
        assert p + c == whole(tokenizer, prompt, completion)
        assert c[-1] == tokenizer.eos_token_id and tokenizer.eos_token_id not in p + c[:-1]
        assert tokenizer.decode(c[:-1]) == completion
    assert encode(tokenizer, prompts) == [p for p, _ in encode_pairs(tokenizer, prompts, completions)]


def whole(tokenizer: PreTrainedTokenizerBase, prompt: str, completion: str) -> list[int]:
    dialogue = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    text = tokenizer.apply_chat_template(dialogue, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_no_prompts_are_no_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    assert encode(tokenizer, []) == []
    assert encode_pairs(tokenizer, [], []) == []


def test_a_chatml_model_gets_chatml_without_a_system_message(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    save_tokenizer(tokenizer, folder, eos_token="<|im_end|>", pad_token="<|pad|>")
    loaded = read_tokenizer("tiny", str(folder))
    assert loaded.chat_template == CHATML
    (pair,) = encode_pairs(loaded, ["What is f(7)?"], ["21"])
    text = loaded.decode(pair[0] + pair[1])
    assert text == "<|im_start|>user\nWhat is f(7)?<|im_end|>\n<|im_start|>assistant\n21<|im_end|>"


def test_a_model_without_a_chat_template_reads_plain_lines(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    save_tokenizer(tokenizer, folder, eos_token="<|end|>", pad_token="<|pad|>")
    (folder / "chat_template.jinja").unlink()
    _, loaded = load(str(folder))
    (pair,) = encode_pairs(loaded, ["What is f(7)?"], ["21"])
    assert loaded.decode(pair[0] + pair[1]) == "What is f(7)?\n21<|end|>"


def test_what_a_model_reads_first_it_is_given(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """A token that begins all texts, as of Llama's and Gemma's bases, or all dialogues, as of some models of ChatML."""
    first = {"bos_token": "<s>", "pad_token": "<|pad|>"}
    save_tokenizer(tokenizer, folder, eos_token="<|end|>", **first)
    (folder / "chat_template.jinja").unlink()
    plain = read_tokenizer("tiny", str(folder))
    assert plain.decode(encode(plain, ["Hi"])[0]) == "Hi\n"  # it has the token, and does not write it

    backend = json.loads((folder / "tokenizer.json").read_text())
    backend["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [plain.bos_token_id], "tokens": ["<s>"]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(backend))
    begun = read_tokenizer("tiny", str(folder))
    for _ in range(2):  # what a stage has saved is read as it was
        (ids,) = encode(begun, ["Hi"])
        assert begun.decode(ids) == "<s>Hi\n" and ids[0] == begun.bos_token_id
        begun.save_pretrained(folder / "saved")
        begun = read_tokenizer("tiny", str(folder / "saved"))

    save_tokenizer(tokenizer, folder, eos_token="<|im_end|>", **first)
    (folder / "chat_template.jinja").write_text(
        "{{ bos_token }}{{ raise_exception('x') if messages | length > 1 }}"
    )
    hermes = read_tokenizer("tiny", str(folder))
    hermes.save_pretrained(folder / "saved")
    for loaded in (hermes, read_tokenizer("tiny", str(folder / "saved"))):
        assert loaded.decode(encode(loaded, ["Hi"])[0]) == (
            "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        )
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no system message') }}")
    assert read_tokenizer("tiny", str(folder)).chat_template == CHATML


def test_a_tokenizer_without_an_end_is_refused(
    folder: Path, tokenizer: PreTrainedTokenizerFast, refused: Refused
) -> None:
    save_tokenizer(tokenizer, folder, pad_token="<|pad|>")
    (folder / "chat_template.jinja").unlink()
    with refused("model: ", str(folder), "no end token"):
        load(str(folder))


def test_more_tokens_than_embeddings_are_refused(
    folder: Path, tokenizer: PreTrainedTokenizerFast, refused: Refused
) -> None:
    save_tokenizer(tokenizer, folder, eos_token="<|im_end|>", pad_token="<|pad|>")
    with refused("model: ", str(folder), "more tokens than its embedding"):
        load(str(folder))


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "/no/where"])
def test_a_missing_folder_is_refused(name: str, refused: Refused) -> None:
    with refused("model: ", name):
        load(name)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def empty_config(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def garbage_config(folder: Path) -> None:
    (folder / "config.json").write_text("not JSON")


def list_config(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def unknown_architecture(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "abacus"}))


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def garbage_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing of that sort" * 10)


def other_shapes(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"intermediate_size": 48}))


def missing_layer(folder: Path) -> None:
    path = folder / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if "layers.1." not in name}
    save_file(kept, path, metadata={"format": "pt"})


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def garbage_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("not JSON")


DAMAGES: list[Callable[[Path], None]] = [
    no_config, empty_config, garbage_config, list_config, unknown_architecture, no_weights, cut_weights,
    garbage_weights, other_shapes, missing_layer, no_tokenizer, garbage_tokenizer,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_folder_is_refused(damage: Callable[[Path], None], folder: Path, refused: Refused) -> None:
    damage(folder)
    with refused("model: ", str(folder)):
        load(str(folder))


class Evil:
    """Pickled, it is a call that leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "pytorch_model.bin.index.json"])
def test_pickled_weights_are_not_loaded(name: str, folder: Path, refused: Refused, tmp_path: Path) -> None:
    no_weights(folder)
    (folder / "pytorch_model.bin").unlink(missing_ok=True)
    pickled = pickle.dumps({"model.embed_tokens.weight": Evil(tmp_path / "evil")})
    if name.endswith(".json"):
        (folder / "part.bin").write_bytes(pickled)
        (folder / name).write_text(
            json.dumps({"metadata": {}, "weight_map": {"model.embed_tokens.weight": "part.bin"}})
        )
    else:
        (folder / name).write_bytes(pickled)
    with refused("cannot be loaded", "no model.safetensors", "pickled weights"):
        load(str(folder))
    assert not (tmp_path / "evil").exists()


def test_a_pickle_under_the_name_of_safetensors_is_not_loaded(
    folder: Path, refused: Refused, tmp_path: Path
) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Evil(tmp_path / "evil")))
    with refused("cannot be loaded"):
        load(str(folder))
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("file", "known"), [("config.json", False), ("config.json", True), ("tokenizer_config.json", True)]
)
def test_code_that_lies_beside_the_weights_is_not_run(
    file: str, known: bool, folder: Path, refused: Refused, tmp_path: Path
) -> None:
    """A model type that transformers knows is loaded without the code, any other is refused; nobody is asked."""
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'evil')!r}).touch()\nclass A: pass\n"
    (folder / "code.py").write_text(code)
    told = json.loads((folder / file).read_text())
    if not known:
        told["model_type"] = "own"
    names = ("AutoConfig", "AutoModelForCausalLM") if file == "config.json" else ("AutoTokenizer",)
    told["auto_map"] = {name: ["code.A", None] if name == "AutoTokenizer" else "code.A" for name in names}
    (folder / file).write_text(json.dumps(told))
    if known:
        load(str(folder))
    else:
        with refused("code that comes with a model is never run"):
            load(str(folder))
    assert not (tmp_path / "evil").exists()
