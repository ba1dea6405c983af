"""A chat template is the same on every day and without thinking, and says so itself, for programs of others that ask a model of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from pbb.models.load import CHATML, as_turn, encode, encode_pairs, read_tokenizer, settled


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def written(folder: Path, tokenizer: PreTrainedTokenizerFast, end: str, template: str) -> None:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token=end, pad_token="<|pad|>"
    )
    fast.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template)


def test_a_template_that_writes_the_date_gets_the_same_one_every_day(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    written(
        folder,
        tokenizer,
        "<|end|>",
        "{{ date_string }}, {{ strftime_now('%d %b %Y') }}: {% for m in messages %}{{ m.content }}{% endfor %}<|end|>",
    )
    loaded = read_tokenizer("tiny", str(folder))
    assert loaded.decode(encode(loaded, ["Hi"])[0]) == "26 Jul 2024, 26 Jul 2024: Hi<|end|>"


DATES = {
    "Llama 3.2": (
        "{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n        {%- set date_string = strftime_now('%d %b %Y') %}\n"
        "    {%- else %}\n        {%- set date_string = '26 Jul 1999' %}\n    {%- endif %}\n{%- endif %}\n"
        "{{- date_string }}: {% for m in messages %}{{ m.content }}{% endfor %}<|end|>",
        "26 Jul 2024",
    ),
    "in a macro": (
        "{%- macro told() %}{{ 'It is ' + strftime_now(\"%Y-%m-%d\") }}{% endmacro %}"
        "{%- for m in messages %}{{ told() }}: {{ m.content }}{% endfor %}<|end|>",
        "It is 2024-07-26",
    ),
    "by a variable": (
        "{%- set form = '%-d. %B %y, %A' %}{%- for m in messages %}{{ strftime_now(form) }}: {{ m.content }}{% endfor %}<|end|>",
        "26. July 24, Friday",
    ),
}


@pytest.mark.parametrize("name", DATES)
def test_a_template_is_handed_on_with_its_date(
    name: str, folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Programs of others that ask an exported model give its template neither a date nor a clock of ours."""
    template, date = DATES[name]
    written(folder, tokenizer, "<|end|>", template)
    loaded = read_tokenizer("tiny", str(folder))
    for _ in range(2):  # what a stage has saved is read as it was
        asked = loaded.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
        assert asked == as_turn(loaded, "Hi") == f"{date}: Hi<|end|>"
        assert str(loaded.chat_template).endswith(template)
        loaded.save_pretrained(folder / "saved")
        saved, loaded = loaded, read_tokenizer("tiny", str(folder / "saved"))
        assert loaded.chat_template == saved.chat_template


QWEN = (
    "{%- for m in messages %}\n    {%- if m.role == 'user' %}\n        {{- '<|im_start|>user\\n' + m.content + '<|im_end|>\\n' }}\n"
    "    {%- else %}\n        {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + m.content + '<|im_end|>\\n' }}\n    {%- endif %}\n"
    "{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n"
    "    {%- if enable_thinking is defined and enable_thinking is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}\n"
    "    {%- endif %}\n{%- endif %}"
)
LATER = QWEN.replace("\n    {%- endif %}\n{%- endif %}", "{%- else %}<think>\n{%- endif %}{%- endif %}")
SMALL = (
    "{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}"
    + QWEN.replace("enable_thinking is defined and enable_thinking is false", "not enable_thinking")
)


@pytest.mark.parametrize("template", [QWEN, LATER, SMALL])
def test_a_hybrid_does_not_think(template: str, folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Nor where another program asks it, which says nothing of thinking, or leaves it open (Inspect)."""
    written(folder, tokenizer, "<|im_end|>", template)
    loaded = read_tokenizer("tiny", str(folder))
    turn = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    for _ in range(2):
        assert loaded.decode(encode(loaded, ["Hi"])[0]) == turn
        ((prompt, completion),) = encode_pairs(loaded, ["Hi"], ["21"])
        assert [prompt] == encode(loaded, ["Hi"])
        assert loaded.decode(prompt + completion) + "\n" == turn + "21<|im_end|>\n"
        dialogue = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "21"}]
        assert loaded.apply_chat_template(dialogue, tokenize=False) == turn + "21<|im_end|>\n"
        for said in ({}, {"enable_thinking": None}, {"enable_thinking": True}):
            assert (
                loaded.apply_chat_template(dialogue[:1], tokenize=False, add_generation_prompt=True, **said)
                == turn
            )
        loaded.save_pretrained(folder / "saved")
        saved, loaded = loaded, read_tokenizer("tiny", str(folder / "saved"))
        assert loaded.chat_template == saved.chat_template


def test_a_hybrid_of_other_marks_does_not_think_either(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    written(
        folder,
        tokenizer,
        "<|end|>",
        "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
        "{% if enable_thinking is defined and not enable_thinking %}</think>{% else %}<think>{% endif %}",
    )
    loaded = read_tokenizer("tiny", str(folder))
    asked = loaded.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert asked == as_turn(loaded, "Hi") == "Hi<|end|></think>"


def test_a_template_that_speaks_of_neither_stays_as_it_is(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    template = "\n  {% for m in messages %}{{ m.content }}<|end|>{% endfor %}\n\n"
    assert settled(template) == template
    thinks = "{{ raise_exception('x') if messages | length < 2 and not enable_thinking }}"
    for own in (template.replace("<|end|>", "<|im_end|>"), template + thinks):
        written(folder, tokenizer, "<|im_end|>", own)
        assert read_tokenizer("tiny", str(folder)).chat_template == CHATML


def test_a_model_of_several_templates_has_each_settled(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    template = "{% for m in messages %}{{ m.content }}{{ strftime_now('%Y') }}<|end|>{% endfor %}"
    written(folder, tokenizer, "<|end|>", template)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tools.jinja").write_text(template)
    loaded = read_tokenizer("tiny", str(folder))
    for name in (None, "tools"):
        turns = [{"role": "user", "content": "Hi"}]
        assert loaded.apply_chat_template(turns, tokenize=False, chat_template=name) == "Hi2024<|end|>"
