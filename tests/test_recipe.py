"""A recipe says what its file says, with every default written out; what makes no experiment is refused in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pbb.errors import PbbError
from pbb.models.place import EMBEDDED
from pbb.programs.random_arithmetic import Arithmetic
from pbb.recipe import Recipe
from pbb.recipe_file import load, shipped
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Grpo

sys.path.insert(0, str(Path(__file__).parent))

from small_recipe import ASKED, LIKE, SHARE, SMALL, written  # noqa: E402

Refused = Callable[..., AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ("evaluation.asks=[direct, trace, direct]", "evaluation: asks: direct is there twice"),
        ("stages.read.batch_size=1000000000039", "stages.read.batch_size"),
        ("evaluation.sampled={samples: 2, temperature: 1.0e-300}", "evaluation.sampled.temperature"),
    ],
)
def test_what_would_hang_or_mislead_is_refused(item: str, where: str, refused: Refused) -> None:
    with refused(where):
        load("arithmetic", [item])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, SMALL)


def test_every_shipped_recipe_loads_under_its_own_name() -> None:
    assert "arithmetic" in shipped()
    titles = set()
    for name in shipped():
        recipe = load(name)
        assert recipe.name == name and recipe.model in EMBEDDED
        assert recipe.title and recipe.about and not recipe.title.endswith(".")
        assert all(arm.about for arm in recipe.arms.values())
        titles.add(recipe.title)
    assert len(titles) == len(shipped())


def test_the_default_recipe_has_all_arms_of_the_protocol() -> None:
    recipe = load("arithmetic")
    assert list(recipe.arms)[0] == "untrained"
    assert set(recipe.arms) == {
        "untrained", "proactive", "stage-1-only", "stage-2-only", "mixed", "wrong-source",
    }  # fmt: skip
    assert [arm for arm in recipe.arms if recipe.wrong(arm)] == ["wrong-source"]
    assert recipe.arms["proactive"].stages[0] == recipe.arms["stage-1-only"].stages[0]
    read, wrong = recipe.mix("read"), recipe.mix("read-wrong")
    assert [
        s.model_copy(update={"wrong": False}) for s in wrong
    ] == read  # they differ in nothing but the names
    assert {s.group for s in wrong if s.wrong} == {"source_only"}
    together = recipe.mix("together")
    assert together == recipe.mix("learn") + read
    for stage in recipe.stages:
        assert not [s for s in recipe.mix(stage) if s.kind == "execution" and s.group == "source_only"]


REINFORCED = SMALL | {
    "stages": {
        "run": {"mix": [ASKED], "method": "grpo", "grpo": {"group_size": 4}},
        "shown": {"mix": [ASKED]},
        "again": {"of": ["shown"], "method": "grpo"},
        "prefer": {"of": ["shown"], "method": "dpo", "dpo": {"beta": 0.2}},
        "read": {"mix": [SHARE]},
    },
    "arms": {"untrained": {}, "run": {"stages": ["read", "run"]}},
    "models": {},
}


@pytest.fixture
def reinforced(tmp_path: Path) -> Path:
    return written(tmp_path, REINFORCED, "reinforced.yaml")


def test_the_dials_of_grpo_are_spelled_out_and_sft_has_none(reinforced: Path) -> None:
    recipe = load(str(reinforced), ["stages.run.grpo.kl=0.05"])
    assert recipe.stages["again"].grpo == Grpo()  # a stage of GRPO has dials, given or not
    dials = recipe.resolved()["stages"]["run"]["grpo"]
    assert dials == Grpo(group_size=4, kl=0.05).model_dump() and set(dials) == set(Grpo.model_fields) - {
        "vllm"
    }
    assert recipe.resolved()["stages"]["prefer"]["dpo"] == Dpo(beta=0.2).model_dump()
    assert load(str(reinforced), ["stages.prefer.dpo=null"]).stages["prefer"].dpo == Dpo()
    for name in ("shown", "read"):
        assert not {"method", "grpo", "dpo"} & set(recipe.resolved()["stages"][name])
    assert Recipe.model_validate(recipe.resolved()) == recipe


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("stages.shown.grpo={}", ["stages.shown", "grpo", "method: grpo"]),
        ("stages.run.method=sft", ["stages.run", "grpo", "method: grpo"]),
        ("stages.run.method=ppo", ["stages.run.method"]),
        ("stages.run.grpo.group_sise=4", ["stages.run.grpo.group_sise", "no such key"]),
        ("stages.run.grpo.group_size=1", ["stages.run.grpo.group_size", "greater"]),
        ("stages.run.grpo.prompts_per_step=0", ["stages.run.grpo.prompts_per_step"]),
        ("stages.run.grpo.steps=0", ["stages.run.grpo.steps"]),
        ("stages.run.grpo.iterations=0", ["stages.run.grpo.iterations"]),
        ("stages.run.grpo={steps: 3, iterations: 2}", ["stages.run.grpo", "steps", "multiple"]),
        ("stages.run.grpo.temperature=0", ["stages.run.grpo.temperature"]),
        ("stages.run.grpo.temperature=.inf", ["stages.run.grpo.temperature"]),
        ("stages.run.grpo.temperature=.nan", ["stages.run.grpo.temperature"]),
        ("stages.run.grpo.kl=-0.1", ["stages.run.grpo.kl"]),
        ("stages.run.grpo.kl=.nan", ["stages.run.grpo.kl"]),
        ("stages.run.grpo.clip=1", ["stages.run.grpo.clip"]),
        ("stages.run.grpo.loss_type=ppo", ["stages.run.grpo.loss_type", "dapo"]),
        ("stages.run.grpo.max_tokens=0", ["stages.run.grpo.max_tokens"]),
        ("stages.run.grpo.format_share=1.1", ["stages.run.grpo.format_share"]),
        ("stages.run.grpo.format_share=-0.1", ["stages.run.grpo.format_share"]),
        ("stages.run.grpo=dapo", ["stages.run.grpo"]),
        ("stages.run.batch_size=32", ["stages.run", "batch_size", "prompts_per_step"]),
        ("stages.read.method=grpo", ["stages.read", "GRPO", "executions only"]),
        ("stages.read.method=dpo", ["stages.read", "DPO", "executions only"]),
        ("stages.shown.dpo={}", ["stages.shown", "dpo", "method: dpo"]),
        ("stages.run.dpo={}", ["stages.run", "dpo", "method: dpo"]),
        ("stages.prefer.grpo={}", ["stages.prefer", "grpo", "method: grpo"]),
        ("stages.prefer.packing=true", ["stages.prefer", "packing", "SFT"]),
        ("stages.prefer.dpo.beta=0", ["stages.prefer.dpo", "beta", "likelihood", "nothing to learn"]),
        ("stages.prefer.dpo.beta=-1", ["stages.prefer.dpo.beta"]),
        ("stages.prefer.dpo.group_size=1", ["stages.prefer.dpo.group_size", "greater"]),
        ("stages.prefer.dpo.temperature=0", ["stages.prefer.dpo.temperature"]),
        ("stages.prefer.dpo.max_tokens=0", ["stages.prefer.dpo.max_tokens"]),
        ("stages.prefer.dpo.prompts_per_step=4", ["stages.prefer.dpo.prompts_per_step", "no such key"]),
        ("stages.again.of=[shown, read]", ["stages.again", "executions only"]),
        ("stages.run.mix.0.group=source_only", ["stages.run.mix.0", "w/o IO"]),
    ],
)
def test_a_mistake_about_grpo_is_named(
    override: str, parts: list[str], reinforced: Path, refused: Refused
) -> None:
    with refused(str(reinforced), *parts):
        load(str(reinforced), [override])


def test_the_retroactive_recipe_leaves_out_one_thing_an_arm() -> None:
    recipe = load("retroactive")
    assert {arm: tuple(a.stages) for arm, a in recipe.arms.items()} == {
        "untrained": (),
        "read-only": ("read-all",),
        "warm-only": ("read-all", "warm"),
        "retroactive-sft": ("read-all", "warm", "run-sft"),
        "retroactive-grpo": ("read-all", "warm", "run-grpo"),
        "retroactive-sft-2": ("read-all", "warm", "run-sft-2"),
        "retroactive-grpo-2": ("read-all", "warm", "run-grpo-2"),
        "skip-exposure": ("read-io", "warm", "run-sft"),
        "execution-only": ("run-sft",),
        "grpo-without-source": ("warm", "run-grpo-2"),
    }
    assert recipe.stages["run-grpo"].grpo and not recipe.stages["run-sft"].grpo
    for stage in ("read-all", "read-io"):
        assert {s.kind for s in recipe.mix(stage)} == {"declaration"}
        assert {s.form for s in recipe.mix(stage)} == {"whole", "part", "path"}
    for stage in ("warm", "run-sft-2", "run-sft", "run-grpo-2", "run-grpo"):
        assert {(s.kind, s.group) for s in recipe.mix(stage)} == {("execution", "io")}
    read = recipe.mix("read-io")
    assert recipe.mix("read-all")[: len(read)] == read  # the same but for the programs that are asked for
    unseen = [s.model_copy(update={"group": "io"}) for s in recipe.mix("read-all")[len(read) :]]
    assert unseen == read
    for count in ("", "-2"):
        assert recipe.mix(f"run-grpo{count}") == recipe.mix(f"run-sft{count}")
    (curve,) = recipe.curves
    for setting, *arms in zip(curve.at, *curve.lines.values(), strict=True):
        for arm in arms:  # the arm at a setting is trained on as many executions as the setting says
            last = recipe.arms[arm].stages[-1]
            told = sum(s.per_program for s in recipe.mix(last)) if last.startswith("run") else 0
            assert told == setting
    assert set(load("retroactive", model="smollm2").stages) == set(recipe.stages)
    assert load("retroactive", ["stages.run-sft.mix.0.per_program=7"]).mix("run-grpo")[0].per_program == 7


def test_defaults_are_written_out(path: Path) -> None:
    recipe = load(str(path))
    assert (recipe.name, recipe.model, recipe.seeds, recipe.about) == ("small", "base", [0], "")
    assert (recipe.data.io, recipe.data.bound, recipe.stages["more"].batch_size) == (
        5,
        Arithmetic().bound,
        16,
    )
    assert Recipe.model_validate(recipe.resolved()) == recipe
    assert recipe.resolved()["stages"]["read"]["mix"][0]["represent"] == "source"


def test_one_process_is_not_spoken_of_and_several_share_out_every_batch(path: Path, refused: Refused) -> None:
    recipe = load(str(path))
    assert not {"processes", "fsdp"} & recipe.resolved().keys()
    assert load(str(path), ["processes=1"]).hash() == recipe.hash()
    two = load(str(path), ["processes=2"])
    assert two.resolved()["processes"] == 2 and two.hash() != recipe.hash()
    with refused("stages.read.batch_size: 4", "shared out over 3 processes"):
        load(str(path), ["processes=3"])
    with refused("stages.read.batch_size: 4 in 4 passes", "2 processes"):
        load(str(path), ["processes=2", "stages.read.accumulate=4"])
    with refused("fsdp", "processes"):
        load(str(path), ["fsdp=true"])
    with refused("stages.read: fsdp", "lora"):
        load(str(path), ["processes=2", "fsdp=true", "stages.read.lora=4"])


def test_sampling_is_not_spoken_of_where_nothing_is_sampled(path: Path) -> None:
    recipe = load(str(path))
    assert "sampled" not in recipe.resolved()["evaluation"]
    assert load(str(path), ["evaluation.sampled=null"]).hash() == recipe.hash()
    sampled = load(str(path), ["evaluation.sampled.samples=8"])
    assert sampled.resolved()["evaluation"]["sampled"] == {"samples": 8, "temperature": 1.0}
    assert sampled.hash() != recipe.hash()


def test_the_hash_names_what_the_recipe_says(path: Path, tmp_path: Path, python: Callable[..., str]) -> None:
    recipe = load(str(path))
    reordered = written(tmp_path, dict(reversed(SMALL.items())), "small2.yaml")
    assert load(str(reordered), ["name=small"]).hash() == recipe.hash()
    assert len(recipe.hash()) == 12 and int(recipe.hash(), 16) >= 0
    code = "import sys; from pbb.recipe_file import load; print(load(sys.argv[1]).hash())"
    assert python(code, str(path), hash_seed=77).strip() == recipe.hash()
    changes = [
        "data.io=6",
        "seeds=[1]",
        "stages.read.learning_rate=2e-3",
        "arms.proactive.about=x",
        "model=owner/big",
    ]
    changed = {load(str(path), [change]).hash() for change in changes}
    assert len(changed | {recipe.hash()}) == len(changes) + 1


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("data.nonsense=1", ["data.nonsense", "no such key"]),
        ("nonsense=1", ["nonsense", "no such key"]),
        ("stages.read.mix.0.often=1", ["stages.read.mix.0.often", "no such key"]),
        ("evaluation.ask=[direct]", ["evaluation.ask", "no such key"]),
        ("data.io=many", ["data.io", "integer"]),
        ("data.io=yes", ["data.io", "number"]),
        ("seeds=[0, true]", ["seeds.1", "number"]),
        ("stages.read.mix.0.per_program=on", ["stages.read.mix.0.per_program", "number"]),
        ("data.io=1.5", ["data.io", "integer"]),
        ("data.io=-1", ["data.io", "greater"]),
        ("data.io=", ["data.io", "integer"]),
        ("data=5", ["data"]),
        ("data.length=[3, 1]", ["data", "length"]),
        ("data.length=[0, 9]", ["data", "length"]),
        ("data.input_range=[5, 5]", ["data", "input_range"]),
        ("data.operations=[xor]", ["data", "operations", "'xor'"]),
        ("data.operations=[if, for]", ["data", "operations"]),
        ("data.bound=5", ["data", "bound"]),
        ("data.family=knitting", ["data.family"]),
        ("seeds=3", ["seeds", "list"]),
        ("seeds=[]", ["seeds"]),
        ("seeds=[3, 0, 3]", ["seeds", "3 is there twice"]),
        ("seeds=[a]", ["seeds.0"]),
        ("templates.prompt=0", ["templates.prompt"]),
        ("model=7", ["model", "string"]),
        ("model=[a]", ["model", "string"]),
        ("model={a: b}", ["model", "string"]),
        ("title=[1]", ["title", "string"]),
        ("name=a/../b", ["name"]),
        ("stages.read.learning_rate=fast", ["stages.read.learning_rate"]),
        ("stages.read.learning_rate=0", ["stages.read.learning_rate"]),
        ("stages.read.learning_rate=.nan", ["stages.read.learning_rate"]),
        ("stages.read.of=[more]", ["stages.read", "mix or of"]),
        ("stages.read.mix=[]", ["stages.read", "mix or of"]),
        ("stages.both.of=[both]", ["stages.both.of", "'both'"]),
        ("stages.both.of=[gone]", ["stages.both.of", "'gone'"]),
        ("arms.proactive.stages=[gone]", ["arms.proactive.stages", "'gone'", "read"]),
        ("arms={}", ["arms", "at least one"]),
        ("arms=[]", ["arms"]),
        ("stages.read.mix.0.kind=execution", ["stages.read.mix.0", "w/o IO"]),
        ("evaluation.asks=[guess]", ["evaluation.asks.0"]),
        ("evaluation.asks=[]", ["evaluation.asks"]),
        ("evaluation.calls=0", ["evaluation.calls"]),
        ("evaluation.sampled=8", ["evaluation.sampled"]),
        ("evaluation.sampled={}", ["evaluation.sampled.samples"]),
        ("evaluation.sampled.samples=0", ["evaluation.sampled.samples", "greater"]),
        ("evaluation.sampled.samples=yes", ["evaluation.sampled.samples", "number"]),
        ("evaluation.sampled={samples: 2, temperature: 0}", ["evaluation.sampled.temperature", "greater"]),
        ("evaluation.sampled={samples: 2, temperature: .inf}", ["evaluation.sampled.temperature"]),
        ("evaluation.sampled={samples: 2, top_k: 5}", ["evaluation.sampled.top_k", "no such key"]),
        ("evaluation={asks: [recall], sampled: {samples: 2}}", ["evaluation", "recall has no value"]),
        ("evaluation.phrasing=0", ["evaluation.phrasing"]),
        ("evaluation.phrasing=21", ["evaluation.phrasing", "there are 20"]),
    ],
)
def test_a_mistake_is_named_by_file_and_key(
    override: str, parts: list[str], path: Path, refused: Refused
) -> None:
    with refused(str(path), *parts):
        load(str(path), [override])


def test_seeds_are_counted_from_0(path: Path, refused: Refused) -> None:
    assert load(str(path), seeds=2).seeds == [0, 1]
    assert load(str(path), ["seeds=[5, 9]"]).seeds == [5, 9]
    with refused("--seeds 0"):
        load(str(path), seeds=0)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("stages.learn.mix.0.group=io_composed", ["stages.learn", "set data.compose"]),
        ("data.compose={form: named}", ["no source to declare"]),
        ("data.compose=many", ["data.compose", "give a mapping"]),
    ],
)
def test_shares_of_composites_need_composites(change: str, parts: list[str], refused: Refused) -> None:
    recipe = "composition-declared" if "named" in change else "arithmetic"
    with refused(*parts):
        load(recipe, [change])


def test_groups_of_composites_come_with_composites() -> None:
    assert load("arithmetic").groups() == ["source_only", "io"]
    recipe = load("composition")
    assert [recipe.size(g) for g in recipe.groups()] == [100, 400, 100, 200]
    assert "compose" not in load("arithmetic").resolved()["data"]


def test_exposures_and_programs_change_the_parts_of_a_stage(tmp_path: Path) -> None:
    recipe = load(str(written(tmp_path, LIKE)))

    def parts(stage: str) -> list[Any]:
        return [(p.group, p.per_program, p.programs) for p in recipe.mix(stage) if p.kind != "chat"]

    assert parts("half") == [("source_only", 1, None), ("io", 1, 3)]
    assert parts("both") == [("source_only", 2, None), ("io", 2, None), *parts("half")]
    assert parts("thin") == [
        ("source_only", 1, None),
        ("io", 1, None),
        ("source_only", 0.5, None),
        ("io", 0.5, 3),
    ]
    assert recipe.documents("half") == 6 + 3 and recipe.documents("read") == 12 + 16
    assert {p.represent for p in recipe.mix("prose") if p.kind != "chat"} == {"prose"}


def test_stages_that_differ_in_their_training_alone_have_the_same_documents(tmp_path: Path) -> None:
    recipe = load(str(written(tmp_path, LIKE)))
    assert [recipe.source(name) for name in ("read", "slow", "half", "prose")] == [
        "read",
        "read",
        "half",
        "prose",
    ]


def test_an_arm_is_asked_about_the_programs_that_it_was_shown(tmp_path: Path) -> None:
    recipe = load(
        str(written(tmp_path, LIKE)), ["evaluation.io_programs=5", "evaluation.asks=[direct, recall]"]
    )
    assert {arm: recipe.shown(arm) for arm in recipe.arms} == {
        "untrained": {}, "proactive": {}, "few": {"io": 3}, "more": {}, "other": {"io": (5, 8)},
    }  # fmt: skip
    # ten direct answers and a recall each: six w/o IO programs, and five w/ IO ones that are asked on train inputs too
    assert recipe.questions("proactive") == 6 * 11 + 5 * 21
    assert recipe.questions("few") == recipe.questions("other") == 6 * 11 + 3 * 21
    sampled = load(
        str(written(tmp_path, LIKE)), ["evaluation.asks=[direct, recall]", "evaluation.sampled.samples=4"]
    )
    assert sampled.questions("few") == recipe.questions("few") + 6 * 10 * 4


def test_an_arm_that_leaves_programs_out_between_says_which_it_is_asked_about(tmp_path: Path) -> None:
    path = str(written(tmp_path, LIKE))
    with pytest.raises(
        PbbError, match="arms.apart: its stages show programs of io that do not lie side by side"
    ):
        load(path, ["arms.apart={stages: [half, others]}"])
    touching = ["arms.apart={stages: [half, others]}", "stages.others.mix.1.programs=[3, 8]"]
    assert load(path, touching).shown("apart") == {}


def test_programs_are_no_more_than_can_be_counted(tmp_path: Path) -> None:
    path = str(written(tmp_path, LIKE))
    with pytest.raises(PbbError, match="data.io"):
        load(path, ["data.io=99999999999999999999999999"])
    load(path, ["data.io=100000000"])  # at once: none is counted one by one


def test_a_stage_of_others_draws_its_documents_in_their_phrasings(tmp_path: Path) -> None:
    path = str(written(tmp_path, LIKE))
    few = ["stages.joined=null", "stages.read.templates={prompt: 3, response: 2}"]  # which half is like
    recipe = load(path, few)
    assert recipe.templates_of("thin") == recipe.stages["read"].templates != recipe.templates
    with pytest.raises(PbbError, match="stages.thin.of: read and half differ in templates"):
        load(path, [*few, "stages.half.templates={prompt: 5, response: 2}"])
    assert load(path, [*few, "stages.thin=null", "stages.half.templates={prompt: 5, response: 2}"]).stages[
        "both"
    ]


def test_a_stage_is_made_of_no_other_twice(tmp_path: Path) -> None:
    with pytest.raises(PbbError, match="stages.both.of: a stage twice"):
        load(str(written(tmp_path, LIKE)), ["stages.both.of=[read, read]"])


def test_programs_from_a_place_on_are_cut_where_the_stage_ends(tmp_path: Path) -> None:
    path = str(written(tmp_path, LIKE))
    [_, some] = load(path, ["stages.others.programs={io: 7}"]).mix("others")
    assert some.kind == "execution" and some.programs == (5, 7)
    with pytest.raises(PbbError, match="arms.other.programs: io: there are 8"):
        load(path, ["arms.other.programs={io: [8, 9]}"])
    for change, word in (("programs={io: 4}", "programs"), ("mix.1.programs=[8, 9]", "programs"), ("mix.1.inputs=[20, 30]", "inputs")):  # fmt: skip
        with pytest.raises(PbbError, match=f"stages.others: {word}: none from place"):
            load(path, [f"stages.others.{change}"])


def test_how_many_different_calls_an_arm_executes(tmp_path: Path) -> None:
    recipe = load(str(written(tmp_path, LIKE)))
    assert recipe.executed("proactive") == 0
    assert recipe.executed("other") == 3
    many = load(str(tmp_path / "small.yaml"), ["stages.others.mix.1.per_program=5"])
    assert many.executed("other") == 3 * 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"break_even": "few"}, "one of the arms in beside"),
        ({"group": None}, "the group of the lines"),
        ({"at": ["none", "all"]}, "numbers from 0, rising"),
        ({"at": [3, 1]}, "numbers from 0, rising"),
        ({"at": [-1, 1]}, "numbers from 0, rising"),
    ],
)
def test_a_break_even_needs_counts_and_a_level(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    curve = {"name": "c", "title": "C", "below": "calls", "at": [0, 1], "lines": {"x": ["untrained", "few"]}}
    good = curve | {
        "beside": ["proactive"],
        "group": "io",
        "beside_group": "source_only",
        "break_even": "proactive",
    }
    assert load(str(written(tmp_path, LIKE | {"curves": [good]}))).curves[0].break_even == "proactive"
    with pytest.raises(PbbError, match=words):
        load(str(written(tmp_path, LIKE | {"curves": [good | changes]})))


@pytest.mark.parametrize("names", [("c", "c"), ("accuracy",)])
def test_every_figure_has_a_name_of_its_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    curve = {"title": "C", "below": "calls", "at": [0, 1], "lines": {"x": ["untrained", "few"]}}
    with pytest.raises(PbbError, match=f"curves.{names[-1]}: another figure has that name"):
        load(str(written(tmp_path, LIKE | {"curves": [curve | {"name": name} for name in names]})))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.read.learning_rate=.inf", "stages.read.learning_rate"),
        ("stages.read.weight_decay=.nan", "stages.read.weight_decay"),
        ("stages.read.exposures=.inf", "stages.read.exposures"),
        ("seeds=[-1]", "seeds.0"),
        ("seeds=[4294967296]", "seeds.0"),
    ],
)
def test_numbers_that_nothing_can_be_made_with_are_refused(
    override: str, words: str, refused: Refused
) -> None:
    with refused(words):
        load("arithmetic", [override])
