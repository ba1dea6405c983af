"""A recipe's file is found, laid over others, sized, overridden and checked; a mistake is one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pbb.errors import PbbError
from pbb.recipe_file import load, shipped

sys.path.insert(0, str(Path(__file__).parent))

from small_recipe import LIKE, SHARE, SMALL, dumped, written  # noqa: E402

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, SMALL)


def test_the_models_sizes_stand_over_the_file_and_overrides_over_both(path: Path, refused: Refused) -> None:
    big = load(str(path), model="owner/big")
    assert (big.data.io, big.data.source_only, big.stages["read"].batch_size) == (50, 3, 2)
    assert (big.seeds, big.model, big.stages["more"].batch_size) == ([0, 1], "owner/big", 16)
    both = load(str(path), ["data.io=7", "stages.read.mix.0.per_program=9"], model="owner/big", seeds=3)
    assert (both.data.io, both.stages["read"].batch_size, both.seeds) == (7, 2, [0, 1, 2])
    assert both.stages["read"].mix[0].per_program == 9
    with refused("no sizes for other/model"):
        load(str(path), model="other/model")


def test_an_override_of_null_takes_a_key_away_and_claims_with_an_arm(refused: Refused) -> None:
    whole, without = load("arithmetic"), load("arithmetic", ["arms.wrong-source=null"])
    assert set(whole.arms) - set(without.arms) == {"wrong-source"}
    assert {h.above for h in whole.hypotheses} - {h.above for h in without.hypotheses} == {"wrong-source"}
    assert whole.stages["read"].batch_size == 32
    assert load("arithmetic", ["stages.read.batch_size=null"]).stages["read"].batch_size == 16
    with refused("stages.reed"):
        load("arithmetic", ["stages.reed.batch_size=null"])


def test_a_model_that_an_override_names_is_sized_as_well(path: Path) -> None:
    asked = load(str(path), model="owner/big")
    assert load(str(path), ["model=owner/big"]) == asked
    assert load(str(path), ["model=owner/big"], model="base") == asked  # the override is the one that is used
    assert load(str(path), ["model=other/model", "model=owner/big"]) == asked
    assert load(str(path), ["model=base"], model="owner/big") == load(str(path))
    assert load(str(path), ["data.io=7", "model=owner/big"]).data.io == 7


def test_a_model_that_the_file_names_is_sized_as_well(tmp_path: Path) -> None:
    assert load(str(written(tmp_path, SMALL | {"model": "owner/big"}))).data.io == 50


def test_the_last_override_of_a_key_wins_and_values_are_yaml(path: Path) -> None:
    recipe = load(
        str(path),
        ["data.io=7", "data.io=8", "data.length=[2, 2]", "title=a: b", "arms.new={stages: [both]}"][:3]
        + ["title='a: b'", "arms.new={stages: [both]}", "evaluation.io_train=false"],
    )
    assert (recipe.data.io, recipe.data.length, recipe.title) == (8, (2, 2), "a: b")
    assert recipe.arms["new"].stages == ["both"] and recipe.evaluation.io_train is False
    assert recipe.splits("io") == recipe.splits("source_only") == ["test"]
    assert load(str(path)).splits("io") == ["test", "train"]


@pytest.mark.parametrize("name", ["nonsense", "arithmetic.yml", "", "/no/such/file.yaml", "."])
def test_an_unknown_recipe_is_refused_with_those_there_are(name: str, refused: Refused) -> None:
    with refused("no recipe", repr(name), "arithmetic"):
        load(name)


@pytest.mark.parametrize(
    "override", ["data.io", "=", "data.io.x=1", "title.x=1", "stages.read.mix.9.per_program=1",
                 "stages.read.mix.first=1", "stages.read.mix.9=1", "data.io={", "data.io=[1", "b=: :"]
)  # fmt: skip
def test_an_override_that_cannot_be_applied_is_named(override: str, path: Path, refused: Refused) -> None:
    with refused("" if override == "=" else "--set "):
        load(str(path), [override])


def test_an_override_reaches_the_place_that_it_names_only(tmp_path: Path) -> None:
    """Also where the file repeats a mix by a YAML alias, which reads as one list at two places."""
    aliased = {
        **SMALL,
        "stages": {"read": {"mix": [SHARE]}, "more": {"mix": [SHARE]}, "both": SMALL["stages"]["both"]},
    }
    path = written(tmp_path, aliased)
    assert "&id" in path.read_text()
    recipe = load(str(path), ["stages.read.mix.0.per_program=9"])
    assert [recipe.stages[name].mix[0].per_program for name in ("read", "more")] == [9, 2]


def test_a_file_that_extends_another_changes_what_it_names(path: Path, tmp_path: Path) -> None:
    changes = {"extends": str(path), "data": {"io": 6}, "stages": {"both": None}, "arms": {"untrained": None}}
    recipe = load(str(written(tmp_path, changes, "over.yaml")))
    assert (recipe.name, recipe.title, recipe.data.io, recipe.data.source_only) == ("over", "Small", 6, 3)
    assert list(recipe.stages) == ["read", "more"] and list(recipe.arms) == ["proactive"]
    again = written(tmp_path, {"extends": str(tmp_path / "over.yaml"), "title": "Over over"}, "third.yaml")
    third = load(str(again), model="owner/big")
    assert (third.title, third.data.io, third.name) == ("Over over", 6, "third")  # what over.yaml says itself
    assert load(str(path)).data.io == 5


def test_what_is_extended_lies_beside_the_file_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """From wherever it is asked for, and not in the current folder; the name of a shipped recipe is itself."""
    inner = tmp_path / "recipes" / "inner"
    inner.mkdir(parents=True)
    written(tmp_path / "recipes", SMALL)
    written(tmp_path / "recipes", {"extends": "small.yaml", "data": {"io": 6}}, "middle.yaml")
    top = written(inner, {"extends": "../middle.yaml", "title": "Top"}, "top.yaml")
    written(inner, SMALL | {"title": "A decoy"}, "small.yaml")
    alone = written(inner, {"extends": "arithmetic"}, "alone.yaml")
    lost = written(inner, {"extends": "middle.yaml"}, "lost.yaml")
    for folder, name in (
        (inner, "top.yaml"), (tmp_path, "recipes/inner/top.yaml"), (tmp_path, str(top)),
        (tmp_path / "recipes", "inner/top.yaml"),
    ):  # fmt: skip
        monkeypatch.chdir(folder)
        recipe = load(name)
        assert (recipe.title, recipe.data.io, recipe.data.source_only) == ("Top", 6, 3)
        assert load(str(alone)).stages == load("arithmetic").stages
        with refused(str(lost), "extends", "'middle.yaml'", str(inner), "arithmetic"):
            load(str(lost))


def test_recipes_that_extend_each_other_by_many_names_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, {"extends": f"../{tmp_path.name}/second.yaml"}, "first.yaml")
    written(tmp_path, {"extends": "./first.yaml"}, "second.yaml")
    with refused("extends", "first.yaml"):
        load("first.yaml")


@pytest.mark.parametrize("base", ["nonsense", "SELF", 7, ["arithmetic"], {"a": 1}])
def test_what_cannot_be_extended_is_named(base: Any, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "over.yaml"
    written(tmp_path, {"extends": str(path) if base == "SELF" else base}, path.name)
    with refused("recipe", *(["'nonsense'"] if base == "nonsense" else [str(path), "extends"])):
        load(str(path))


def test_recipes_that_extend_each_other_are_refused(tmp_path: Path, refused: Refused) -> None:
    first, second = (tmp_path / name for name in ("first.yaml", "second.yaml"))
    written(tmp_path, {"extends": str(second)}, first.name)
    written(tmp_path, {"extends": str(first)}, second.name)
    with refused("extends"):
        load(str(first))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["mapping"]),
        ("- a\n- b\n", ["mapping"]),
        ("just words", ["mapping"]),
        ("data: [1\n", ["YAML"]),
        ("a: b: c\n", ["YAML"]),
        ("\t- x", ["YAML"]),
        ("!!python/object:os.system {}\n", ["YAML"]),
        ("title: x\n", ["stages"]),
        (dumped(SMALL | {"models": [1]}), ["models"]),
        (dumped(SMALL | {"models": {"base": 7}}), ["models"]),
        (dumped(SMALL | {"models": {"base": [7]}}), ["models"]),
        (dumped(SMALL | {"model": ["a"]}), ["model"]),
        (dumped(SMALL | {1: 2}), []),
        (dumped(SMALL | {"extra": 2}), ["extra", "no such key"]),
        (dumped(SMALL | {"data": None}), ["data"]),
    ],
)
def test_a_file_that_is_no_recipe_is_named(
    text: str, parts: list[str], tmp_path: Path, refused: Refused
) -> None:
    path = written(tmp_path, text)
    with refused(str(path), *parts):
        load(str(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"title: caf\xe9\n")
    with refused(str(path)):
        load(str(path))


def test_what_is_claimed_and_drawn_of_arms_that_are_taken_away_goes_with_them(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extends: arithmetic\narms: {wrong-source: null, mixed: null}\n")
    whole, own = load("arithmetic").hypotheses, load(str(path)).hypotheses
    assert own == [c for c in whole if "wrong-source" not in (c.arm, c.above)] and len(own) < len(whole)
    path.write_text("extends: retroactive\narms: {retroactive-sft-2: null}\n")
    (curve,) = load(str(path)).curves
    assert curve.lines["SFT"] == ["warm-only", None, "retroactive-sft"] and None not in curve.lines["GRPO"]
    path.write_text(
        "extends: arithmetic\narms: {mixed: null}\n"
        "hypotheses: [{says: so, arm: mixed, above: proactive, ask: trace}]\n"
    )
    with pytest.raises(PbbError, match="hypotheses.0.arm: no arm 'mixed'"):
        load(str(path))


def test_a_stage_that_is_like_another_says_all_that_it_says(tmp_path: Path) -> None:
    recipe = load(str(written(tmp_path, LIKE)))
    read, slow, half = (recipe.stages[name] for name in ("read", "slow", "half"))
    assert (slow.batch_size, slow.learning_rate, slow.mix) == (4, 0.1, read.mix)
    assert (half.learning_rate, half.exposures) == (0.1, 0.5)
    assert recipe.stages["joined"].mix == [] and recipe.stages["joined"].learning_rate == 0.1
    assert "like" not in recipe.resolved()["stages"]["slow"]
    assert load(str(tmp_path / "small.yaml"), ["stages.read.batch_size=2"]).stages["half"].batch_size == 2


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "in turn"),
        ({"a": {"like": "a"}}, "in turn"),
        ({"a": {"like": "nothing"}}, "no such stage"),
        ({"a": {"like": ["a"]}}, "no such stage"),
        ({"a": {"of": ["read"], "templates": {"prompt": 1}}}, "stages.a.templates"),
        ({"a": {"like": "read", "programs": {"io": 0}}}, "stages.a.programs.io"),
        ({"a": {"like": "read", "programs": {"nobody": 1}}}, "stages.a.programs.nobody"),
        ({"a": {"like": "read", "exposures": 0}}, "stages.a.exposures"),
        ({"a": {"like": "read", "exposures": 1e300}}, "stages.a.exposures"),
        ({"a": {"mix": [{**SHARE, "per_program": 1e300}]}}, "stages.a: per_program: give at most 1,000,000"),
        ({"a": {"like": "read", "templates": {"prompt": 21}}}, "stages.a.templates: there are 20 phrasings"),
    ],
)
def test_a_stage_that_is_like_none_is_refused(
    tmp_path: Path, refused: Refused, stages: dict[str, Any], words: str
) -> None:
    path = written(tmp_path, SMALL | {"stages": SMALL["stages"] | stages})
    with refused(words):
        load(str(path))


def test_a_break_even_goes_with_the_arm_that_is_its_level(tmp_path: Path) -> None:
    path = tmp_path / "less.yaml"
    path.write_text("extends: efficiency\narms: {proactive: null}\n")
    whole, less = load("efficiency").curves, load(str(path)).curves
    assert any(c.break_even == "proactive" for c in whole)
    assert [c.break_even for c in less] == [
        c.break_even if c.break_even != "proactive" else None for c in whole
    ]


def test_a_curve_goes_on_without_the_arms_that_are_taken_away(tmp_path: Path) -> None:
    curve = {"name": "c", "title": "C", "below": "d", "at": [0, "all", 2], "beside": ["few"]}
    lines = {"one": ["untrained", "proactive", "more"], "other": ["untrained", None, "few"]}
    written(
        tmp_path,
        LIKE | {"curves": [curve | {"lines": lines}, curve | {"name": "d", "lines": {"x": lines["other"]}}]},
    )
    above = written(tmp_path, {"extends": "small.yaml", "arms": {"few": None}}, "above.yaml")
    (left,) = load(str(above)).curves
    assert left.lines == {"one": ["untrained", "proactive", "more"]} and left.beside == []
    assert len(load(str(tmp_path / "small.yaml")).curves) == 2


@pytest.mark.parametrize(
    "recipe", ["arithmetic", "ciphers", "grammars", "composition", "composition-declared"]
)
@pytest.mark.parametrize("model", [None, "smollm2"])
def test_the_wrong_source_control_follows_the_stage_that_it_controls(recipe: str, model: str | None) -> None:
    """The same documents as the reading, as often and at the same rate, but for whose source stands under a name."""
    changes = [
        "stages.read.exposures=0.5",
        "stages.read.learning_rate=1e-5",
        "stages.read.mix.0.per_program=6",
    ]
    changed = load(recipe, changes, model=model)
    right, wrong = (changed.mix(stage) for stage in ("read", "read-wrong"))
    assert [share.model_copy(update={"wrong": False}) for share in wrong] == right
    assert [share.wrong for share in wrong] == [
        share.kind == "declaration" and share.group == "source_only" for share in right
    ]
    assert changed.stages["read-wrong"].model_copy(update={"wrong": False}) == changed.stages["read"]
    assert changed.wrong("wrong-source") and not changed.wrong("proactive")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("extends: arithmetic\ntitle: a\ntitle: b\n")
    with refused(str(path), "'title' is there twice"):
        load(str(path))
    with refused("--set data={io: 3, io: 4}", "'io' is there twice"):
        load("arithmetic", ["data={io: 3, io: 4}"])
    with refused("--set data={[io]: 3}", "not YAML"):
        load("arithmetic", ["data={[io]: 3}"])


def test_wrong_without_anything_to_permute_is_refused(refused: Refused) -> None:
    with refused("stages.never.wrong", "no w/o IO programs"):
        load("arithmetic", ["stages.never={like: learn, wrong: true}"])


def test_what_was_set_is_named_beside_the_file(refused: Refused) -> None:
    with refused("arithmetic.yaml", "--set data.io=-1", "data.io: "):
        load("arithmetic", ["seeds=[1]", "data.io=3", "data.io=-1"])
    with refused("--set models.smollm2=3", "for a recipe's file"):
        load("arithmetic", ["models.smollm2=3"])
    with refused("--set =3", "key=value"):
        load("arithmetic", ["=3"])


def test_more_programs_or_inputs_than_there_are_are_refused_before_a_run(refused: Refused) -> None:
    with refused("stages.read.programs.io: 999 of 400"):
        load("arithmetic", ["stages.read.programs={io: 999}"])
    with refused("--set data.test_inputs=25", "20 and 25", "input_range"):
        load("arithmetic", ["data.test_inputs=25"])
    assert load("arithmetic", ["stages.read.programs={io: 400}", "data.test_inputs=10"])


@pytest.mark.parametrize("model", ["smollm2", "owner/llm"])
@pytest.mark.parametrize("name", sorted(set(shipped()) - {"sizes"}))
def test_every_recipe_is_sized_for_a_pretrained_llm(name: str, model: str) -> None:
    """Muon and the rates of a few million weights would spoil it."""
    recipe = load(name, model=model)
    trained = {stage for arm in recipe.arms.values() for stage in arm.stages}
    tried = (name, model) == ("lengths", "smollm2")  # by Muon, and at its rates (docs/lab-notes.md)
    assert trained and {recipe.stages[stage].optimizer for stage in trained} == {"muon" if tried else "adamw"}
    assert all(recipe.stages[stage].learning_rate <= (6e-4 if tried else 4e-4) for stage in trained)


def test_a_pretrained_llm_that_nothing_sizes_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("sizes.yaml", "no sizes for owner/llm", "models: {llm: "):
        load("sizes", model="owner/llm")
    with refused("'llm'", "nor a hub id"):  # no model at all
        load("sizes", model="llm")
    own = {"extends": "sizes", "models": {"llm": {"stages": {"learn": {"optimizer": "adamw"}}}}}
    assert load(str(written(tmp_path, own)), model="owner/llm").stages["learn"].optimizer == "adamw"
    # who names the model in the file has sized the file for it
    assert load(str(written(tmp_path, {"extends": "sizes", "model": "owner/llm"}))).model == "owner/llm"


def test_a_file_lies_over_the_recipe_as_sized_for_the_model(tmp_path: Path) -> None:
    above = written(tmp_path, {"extends": "arithmetic", "stages": {"read": {"learning_rate": 7e-5}}})
    plain, mine = load("arithmetic", model="smollm2"), load(str(above), model="smollm2")
    assert mine.stages["read"].learning_rate == 7e-5
    assert mine.stages["read"].mix == plain.stages["read"].mix
    assert mine.stages["learn"] == plain.stages["learn"] and mine.data == plain.data


def test_replay_is_off_on_an_llm_too() -> None:
    for name, stage in (("no-replay", "read"), ("exposures", "no-replay")):
        assert {share.group for share in load(name, model="smollm2").mix(stage)} == {"source_only"}


def test_small_models_take_the_sizes_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    assert load("lengths", model=str(tmp_path)).arms == load("lengths").arms


def test_one_key_trains_adapters_in_every_stage(refused: Refused) -> None:
    changes = ["lora=8", "stages.read.lora=4"]
    stages = load("arithmetic", changes, model="smollm2").stages
    assert {name: stage.lora for name, stage in stages.items()} == {"learn": 8, "read": 4, "read-wrong": 4}
    with refused("lora", "optimizer: adamw"):
        load("arithmetic", ["lora=8"])
    with refused("lora", "greater"):
        load("arithmetic", ["lora=0"], model="smollm2")


@pytest.mark.parametrize(
    "change",
    ["stages.learn.exposures=yes", "stages.learn.accumulate=true", "processes=on", "evaluation.samples=no"],
)
def test_a_truth_value_that_is_the_default_is_refused_too(change: str, refused: Refused) -> None:
    with refused("number", f"--set {change}"):
        load("arithmetic", [change])


def test_seeds_are_said_once(refused: Refused) -> None:
    with refused("--seeds 3", "--set seeds=[5]"):
        load("arithmetic", ["seeds=[5]"], seeds=3)


def test_names_that_claims_take_otherwise_are_refused(refused: Refused) -> None:
    with refused("arms.constant"):
        load("arithmetic", ["arms.constant={stages: [read], about: x}"])
    with refused("hypotheses.0", "above itself"):
        load("arithmetic", ["hypotheses.0.above=proactive"])


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"arms": {"proactiv": None}}, "arms.proactiv"),
        ({"stages": {"reed": None}}, "stages.reed"),
        ({"hypothesis": None}, "hypothesis"),
        ({"models": {"base": {"arms": {"proactiv": None}}}}, "models.base.arms.proactiv"),
        ({"models": {"owner/big": {"stages": {"reed": None}}}}, "models.owner/big.stages.reed"),
        ({"stages": {"read": {"exposurs": None}}}, "stages.read.exposurs"),
        ({"arms": {"proactive": {"stage": None}}}, "arms.proactive.stage"),
        ({"evaluation": {"phrasng": None}}, "evaluation.phrasng"),
        ({"data": {"nonsense": None}}, "data.nonsense"),
    ],
)
def test_a_key_that_is_nowhere_there_cannot_be_taken_away(
    changes: dict[str, Any], where: str, path: Path, tmp_path: Path, refused: Refused
) -> None:
    """Whatever the model: the sizes of one that is not asked for are held to it too."""
    over = written(tmp_path, {"extends": path.name, "title": "Over", **changes}, "over.yaml")
    with refused(f"over.yaml: {where}: null takes away what is there"):
        load(str(over))


def test_what_another_models_sizes_bring_can_be_taken_away(path: Path, tmp_path: Path) -> None:
    sizes = {"owner/big": {"arms": {"mine": {"stages": ["more"]}}}}
    written(tmp_path, SMALL | {"models": sizes}, path.name)
    changes = {"extends": path.name, "title": "Over", "arms": {"mine": None}, "models": sizes}
    assert "mine" not in load(str(written(tmp_path, changes | {"models": {}}, "over.yaml"))).arms
    assert "mine" in load(str(path), model="owner/big").arms


def test_null_takes_away_what_a_stage_is_like_in_a_file_that_extends_too(path: Path, tmp_path: Path) -> None:
    """Whether the other stage stands in the same file or in the one below, and in sizes for a model."""
    own = {"mix": [SHARE], "batch_size": 4, "lora": 8, "programs": {"source_only": 2}}
    below = SMALL | {"stages": {**SMALL["stages"], "read": own}}
    written(tmp_path, below, path.name)
    stages = {"plain": {"like": "read", "lora": None, "programs": None, "batch_size": None}}
    arms = {"plain": {"stages": ["plain"]}}
    for changes in ({"stages": stages}, {"models": {"base": {"stages": stages}}}):
        over = {"extends": path.name, "title": "Over", "arms": arms, **changes}
        made = load(str(written(tmp_path, over, "over.yaml"))).stages
        assert (made["plain"].lora, made["plain"].programs, made["plain"].batch_size) == (None, {}, 16)
        assert (made["read"].lora, made["read"].batch_size) == (8, 4)
    over = {
        "extends": "retroactive",
        "title": "Over",
        "stages": {"mine": {"like": "run-grpo", "method": "sft", "grpo": None}},
    }
    assert load(str(written(tmp_path, over, "over.yaml"))).stages["mine"].grpo is None


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("arms.proactve.represent=prose", "no arm 'proactve': arms are untrained, proactive"),
        ("stages.reed.batch_size=2", "no stage 'reed': stages are read, more, both"),
        ("arms.proactve=null", "there is nothing to take away: arms are untrained, proactive"),
        ("arms.proactve=~", "there is nothing to take away"),
        ("stages.slow.mix.0.per_program=3", "slow is like read: set it there, or give slow a mix of its own"),
        ("model=null", "expected a name"),
    ],
)
def test_an_override_that_would_make_something_of_a_misspelling_is_refused(
    item: str, words: str, tmp_path: Path, refused: Refused
) -> None:
    recipe = SMALL | {"stages": SMALL["stages"] | ({"slow": {"like": "read"}} if "slow" in item else {})}
    with refused(f"--set {item}", words):
        load(str(written(tmp_path, recipe)), [item])


def test_null_takes_away_what_is_nested_in_what_a_stage_is_like(tmp_path: Path) -> None:
    stages = SMALL["stages"] | {
        "first": {"like": "read", "programs": {"io": 2, "source_only": 1}},
        "slow": {"like": "first", "programs": {"io": None}},
    }
    written(tmp_path, SMALL | {"stages": stages})
    below = {
        "extends": "small.yaml",
        "title": "Over",
        "stages": {"slow": {"programs": {"source_only": None}}},
    }
    assert load(str(tmp_path / "small.yaml")).stages["slow"].programs == {"source_only": 1}
    assert load(str(written(tmp_path, below, "over.yaml"))).stages["slow"].programs == {}


def test_what_stands_in_place_of_nothing_is_not_laid_over_what_a_stage_is_like(tmp_path: Path) -> None:
    """By a file above the one that took it away, and by an override, which takes the place of all that stood there."""
    read = {"like": "read", "programs": {"io": 3, "source_only": 2}}
    stages = SMALL["stages"] | {"first": read, "slow": {"like": "first"}, "then": {"like": "slow"}}
    written(tmp_path, SMALL | {"stages": stages})
    layers: list[Any] = [None, {"io": 2}, {"io": 1}]
    for number, programs in enumerate(layers):
        over = {"extends": f"over-{number - 1}.yaml" if number else "small.yaml", "title": "Over"}
        written(tmp_path, over | {"stages": {"slow": {"programs": programs}}}, f"over-{number}.yaml")
        made = load(str(tmp_path / f"over-{number}.yaml")).stages
        assert made["slow"].programs == made["then"].programs == (programs or {})
        assert made["first"].programs == read["programs"]
    for changes in (
        ["stages.slow.programs={io: 2}"],
        ["stages.slow.programs=null", "stages.slow.programs.io=2"],
        ["stages.slow.programs={io: 2, source_only: 1}", "stages.slow.programs.source_only=null"],
    ):
        made = load(str(tmp_path / "small.yaml"), changes).stages
        assert made["slow"].programs == made["then"].programs == {"io": 2}
    made = load(str(tmp_path / "small.yaml"), ["stages.slow.programs.io=2"]).stages
    assert made["slow"].programs == {"io": 2, "source_only": 2}


@pytest.mark.parametrize("how", ["a file above", "an override"])
def test_a_stage_is_like_no_other_any_more_by_null(how: str, tmp_path: Path) -> None:
    stages = SMALL["stages"] | {"slow": {"like": "read", "learning_rate": 0.1, "batch_size": None}}
    path, own = written(tmp_path, SMALL | {"stages": stages}), {"like": None, "mix": [SHARE, SHARE]}
    if how == "a file above":
        over = {"extends": "small.yaml", "title": "Over", "stages": {"slow": own}}
        made = load(str(written(tmp_path, over, "over.yaml")))
    else:
        made = load(str(path), ["stages.slow.like=null", f"stages.slow.mix={json.dumps(own['mix'])}"])
    slow = made.stages["slow"]
    assert (len(slow.mix), slow.learning_rate, slow.batch_size) == (2, 0.1, 16)


def test_null_keeps_the_rank_of_all_stages_from_one(tmp_path: Path) -> None:
    """Wherever it stands: in the file with the rank, in one that extends it, in a stage that is like another, in an override."""
    stages = SMALL["stages"] | {"less": {**SMALL["stages"]["read"], "lora": None}, "slow": {"like": "more"}}
    path = written(tmp_path, SMALL | {"lora": 8, "stages": stages})
    over = {
        "extends": "small.yaml",
        "title": "Over",
        "stages": {"read": {"lora": None}, "slow": {"lora": None}},
    }
    ranks = {
        name: stage.lora for name, stage in load(str(written(tmp_path, over, "over.yaml"))).stages.items()
    }
    assert ranks == {"read": None, "more": 8, "both": 8, "less": None, "slow": None}
    assert load(str(path), ["stages.read.lora=4", "stages.read.lora=null"]).stages["read"].lora is None


def test_null_takes_a_mapping_out_of_a_list_by_an_override() -> None:
    whole = load("arithmetic")
    less = load("arithmetic", ["hypotheses.0=null", "stages.learn.mix.1=~"])
    assert less.hypotheses == whole.hypotheses[1:]
    assert less.stages["learn"].mix == [whole.stages["learn"].mix[0], *whole.stages["learn"].mix[2:]]


def test_whole_numbers_are_decimal(path: Path, refused: Refused) -> None:
    assert load(str(path), ["seeds=[010, 0]"]).seeds == [10, 0]
    with refused("--set seeds=[1:30]", "seeds.0"):
        load(str(path), ["seeds=[1:30]"])


@pytest.mark.parametrize("item", ["data.bound=1000000001", "data.constants=[1, 100000000000000000000]"])
def test_numbers_whose_products_fit_no_64_bits_are_refused(item: str, refused: Refused) -> None:
    with refused(f"--set {item}", item.partition("=")[0]):
        load("arithmetic", [item])


def test_a_model_folder_is_one_with_a_slash_at_its_end_or_without(path: Path) -> None:
    recipe = load(str(path), ["arms.proactive.model=bases/x", "arms.untrained.model=bases/x/"])
    assert recipe.starts() == ["bases/x"]


def test_no_more_questions_are_counted_than_there_are_held_out_inputs(path: Path) -> None:
    most, more = (load(str(path), [f"evaluation.calls={n}"]) for n in (load(str(path)).data.test_inputs, 90))
    assert most.questions("proactive") == more.questions("proactive")


def test_an_arm_and_a_stage_can_be_made_whole_by_an_override(path: Path) -> None:
    made = load(
        str(path),
        ["stages.slow={like: read, learning_rate: 0.1}", "arms.slow={stages: [slow]}", "arms.untrained=~"],
    )
    assert made.arms["slow"].stages == ["slow"] and list(made.arms) == ["proactive", "slow"]


def test_characters_that_json_writes_as_halves_are_whole_and_a_half_is_refused(
    path: Path, tmp_path: Path, refused: Refused
) -> None:
    assert load(str(path), ['title="\\ud83d\\ude00"']).title == "\U0001f600"
    assert load(str(written(tmp_path, json.dumps(SMALL | {"title": "\U0001f600"})))).title == "\U0001f600"
    with refused("half of a character"):
        load(str(path), ['title="\\ud83d"'])
    with refused("small.yaml", "half of a character"):
        load(str(written(tmp_path, json.dumps(SMALL | {"title": "\ud83d"}))))


@pytest.mark.parametrize("name", ["my recipe.yaml", "gr\u00f6\u00dfe.yaml"])
def test_a_file_that_no_folder_can_be_called_by_says_what_to_do(
    name: str, tmp_path: Path, refused: Refused
) -> None:
    with refused("name: ", "which is the file's unless it gives one", "give a name of letters"):
        load(str(written(tmp_path, SMALL, name)))
    assert load(str(written(tmp_path, SMALL | {"name": "mine"}, name))).name == "mine"
