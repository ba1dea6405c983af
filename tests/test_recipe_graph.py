"""The graph of a recipe: what arms have in common is one step, and a change moves only what depends on it."""

from __future__ import annotations

import ast
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pbb.experiment import as_yaml
from pbb.graph import Step, modules_needed, ordered, source_files
from pbb.models import place
from pbb.progress import Progress
from pbb.recipe import Recipe
from pbb.recipe_file import load, shipped
from pbb.recipe_graph import ALL, command, command_of, graph
from pbb.recipe_stages import Arm
from pbb.steps import put
from pbb.training.loop import Settings
from pbb.training.pairs import Dpo
from pbb.training.rollouts import Grpo

Refused = Callable[..., AbstractContextManager[None]]
HUB = "owner/model"  # needs no files for its graph


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return sized("arithmetic")


def sized(name: str, *overrides: str, seeds: int | None = None) -> Recipe:
    """A recipe with the sizes of the base, from a model that is not looked for."""
    return load(name, list(overrides), seeds=seeds).model_copy(update={"model": HUB})


def changed(recipe: Recipe, *overrides: str) -> Recipe:
    return sized(recipe.name, *overrides)


def by_label(steps: list[Step]) -> dict[str, Step]:
    return {s.label: s for s in steps}


@pytest.mark.parametrize("name", ["chat_template.jinja", "model.safetensors", "tokenizer.json", "merges.txt"])
def test_a_folder_of_which_any_file_changes_is_another_model(
    name: str, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    before = by_label(graph(load("arithmetic", model=str(folder))))
    (folder / name).write_bytes(b"x" + ((folder / name).read_bytes() if (folder / name).exists() else b""))
    after = by_label(graph(load("arithmetic", model=str(folder))))
    for label, step in before.items():
        rests = step.kind in ("train", "evaluate", "score", "report")
        assert (after[label].hash != step.hash) == rests, label


def test_a_stage_that_arms_share_is_trained_once(recipe: Recipe) -> None:
    steps = graph(recipe)
    assert len({s.hash for s in steps}) == len(steps) == len(by_label(steps))
    trained = [s.label for s in steps if s.kind == "train"]
    chains = ("learn", "learn + read", "learn + read-wrong", "read", "together")
    assert sorted(trained) == sorted(f"train {chain}, seed 0" for chain in chains)
    named = by_label(steps)
    first = named["train learn, seed 0"]
    for label in ("learn + read", "learn + read-wrong"):
        assert named[f"train {label}, seed 0"].parents["model"] is first
    evaluated = {arm: named[f"evaluate {arm}, seed 0"].parents.get("model") for arm in recipe.arms}
    assert evaluated["untrained"] is None
    assert evaluated["stage-1-only"] is first
    assert evaluated["proactive"] is named["train learn + read, seed 0"]
    assert evaluated["wrong-source"] is named["train learn + read-wrong, seed 0"]
    assert evaluated["stage-2-only"] is named["train read, seed 0"]
    assert (
        named["train read, seed 0"].parents["documents"]
        is named["train learn + read, seed 0"].parents["documents"]
    )


def test_arms_of_other_models_share_documents_and_no_training(recipe: Recipe, model_folder: Path) -> None:
    own = {"model": str(model_folder), "stages": ["learn", "read"]}
    both = changed(recipe, f"arms.smaller={json.dumps(own)}")
    assert both.starts() == [HUB, str(model_folder)] and both.start("smaller") == str(model_folder)
    assert list(both.alone(str(model_folder)).arms) == ["smaller"]
    assert both.alone(str(model_folder)).model == str(model_folder)
    named, before = by_label(graph(both)), by_label(graph(recipe))
    assert {s.hash for s in before.values() if s.kind in ("documents", "train", "evaluate")} < {
        s.hash for s in named.values()
    }
    first, second = (named[f"train {model_folder} + {chain}, seed 0"] for chain in ("learn", "learn + read"))
    assert first.config["model"] == str(model_folder) and second.parents["model"] is first
    assert second.parents["documents"] is named["train learn + read, seed 0"].parents["documents"]
    assert named["evaluate smaller, seed 0"].parents["model"] is second
    assert (first.cores, named["train learn, seed 0"].cores) == (1, ALL)
    assert first.expected_seconds < named["train learn, seed 0"].expected_seconds / 10
    alone = by_label(graph(load("arithmetic", model=str(model_folder))))
    assert alone["train learn + read, seed 0"].hash == second.hash


def test_parents_come_first_and_are_all_there(recipe: Recipe) -> None:
    for r in (recipe, sized("arithmetic", seeds=2)):
        steps = graph(r)
        assert ordered(steps) == steps
        assert {s.hash for s in ordered(steps[-1:])} == {s.hash for s in steps}


def test_every_configuration_is_plain_json(recipe: Recipe) -> None:
    for step in graph(sized("arithmetic", seeds=2)):
        assert json.loads(json.dumps(step.config, allow_nan=False)) == step.config, step.label
        json.dumps(step.inputs_record())
        module, _, name = step.function.partition(":")
        assert module == "pbb.steps" and callable(getattr(__import__(module, fromlist=[name]), name))


def test_two_seeds_are_two_of_everything_but_scores_and_report(recipe: Recipe) -> None:
    one, two = graph(recipe), graph(sized("arithmetic", seeds=2))
    counts = Counter(s.kind for s in one)
    assert counts == {"programs": 1, "documents": 4, "train": 5, "evaluate": 6, "score": 1, "report": 1}
    doubled = {kind: n if kind in ("score", "report") else 2 * n for kind, n in counts.items()}
    assert Counter(s.kind for s in two) == doubled
    shared = {s.hash for s in one} & {s.hash for s in two}
    assert shared == {s.hash for s in one if s.kind not in ("score", "report")}
    assert len({s.hash for s in two}) == len(two)
    evaluate = [key for key in two[-2].parents if key.startswith("evaluate ")]
    assert len(evaluate) == 12 and len(two[-2].config["trainings"]) == 10
    for step in two:  # no seed reads another's files
        if step.kind not in ("score", "report"):
            seeds = {s.label.rpartition(" ")[2] for s in ordered([step])}
            assert len(seeds) == 1


@pytest.mark.parametrize(
    ("override", "moved"),
    [
        ("evaluation.batch_size=8", {"evaluate", "score", "report"}),
        ("evaluation.sampled.samples=2", {"evaluate", "score", "report"}),
        ("title=Another", {"report"}),
        ("arms.proactive.about=other words", {"report"}),
        ("stages.read.learning_rate=2e-3", {"train", "evaluate", "score", "report"}),
        ("data.io=999", {"programs", "documents", "train", "evaluate", "score", "report"}),
        ("represent=prose", {"evaluate", "score", "report"}),
    ],
)
def test_a_change_moves_only_what_depends_on_it(override: str, moved: set[str], recipe: Recipe) -> None:
    before = {s.hash for s in graph(recipe)}
    after = graph(changed(recipe, override))
    assert {s.kind for s in after if s.hash not in before} == moved


def test_several_processes_are_part_of_sft_alone_and_one_is_as_none_were_named() -> None:
    one, two = (sized("retroactive", f"processes={n}") for n in (1, 2))
    assert [s.hash for s in graph(one)] == [s.hash for s in graph(sized("retroactive"))]
    before, after = by_label(graph(one)), by_label(graph(two))
    for label, step in after.items():
        settings = step.config.get("settings", {})
        together = step.kind == "train" and not {"grpo", "dpo"} & set(settings)
        assert (step.processes, settings.get("processes")) == ((2, 2) if together else (1, None))
        assert step.processes == 1 or step.hash != before[label].hash
        assert step.kind not in ("programs", "documents") or step.hash == before[label].hash
    assert any("grpo" in step.config.get("settings", {}) for step in after.values())
    named = command(load("retroactive", ["processes=2"], model=HUB))
    assert named.endswith(" --launch torchrun --processes 2") and "--launch" not in command(one)


def test_a_change_of_stage_2_leaves_stage_1_alone(recipe: Recipe) -> None:
    after = by_label(graph(changed(recipe, "stages.read.batch_size=8")))
    kept = {s.label for s in graph(recipe) if after[s.label].hash == s.hash}
    assert {"train learn, seed 0", "train together, seed 0"} <= kept
    assert "train learn + read-wrong, seed 0" not in kept  # the control of that stage changes with it
    assert not {"train read, seed 0", "train learn + read, seed 0", "evaluate proactive, seed 0"} & kept
    assert {"evaluate stage-1-only, seed 0", "evaluate untrained, seed 0"} <= kept


def test_only_the_wrong_arm_is_judged_by_planted_programs(recipe: Recipe) -> None:
    planted = {s.config["arm"]: s.config["planted"] for s in graph(recipe) if s.kind == "evaluate"}
    assert [arm for arm, yes in planted.items() if yes] == ["wrong-source"]


REINFORCED = [
    "stages.read.method=grpo",
    "stages.read.batch_size=null",
    "stages.read.mix=[{kind: execution, group: io, per_program: 2, ask: trace}]",
    "stages.read-wrong=null",  # the control of a stage that reads nothing would control nothing
    "arms.wrong-source=null",
]


def test_a_stage_of_sft_is_named_as_it_was_before_there_was_grpo(recipe: Recipe) -> None:
    trained = [s for s in graph(recipe) if s.kind == "train"]
    for s in trained:
        assert set(s.config["settings"]) == {
            "batch_size", "learning_rate", "warmup", "decay", "weight_decay", "optimizer", "seed",
        }  # fmt: skip
        assert "pbb.training.grpo" not in modules_needed([s])


def test_a_stage_of_grpo_is_named_by_its_dials(recipe: Recipe) -> None:
    label = "train read, seed 0"
    step = by_label(graph(changed(recipe, *REINFORCED)))[label]
    assert set(step.config["settings"]) == {
        "grpo", "learning_rate", "warmup", "decay", "weight_decay", "optimizer", "seed",
    }  # fmt: skip
    assert step.config["settings"]["grpo"] == Grpo().model_dump()
    kl = by_label(graph(changed(recipe, *REINFORCED, "stages.read.grpo.kl=0.01")))[label]
    assert kl.hash != step.hash
    assert {"pbb.training.grpo", "pbb.models.decode", "pbb.reward", "pbb.evaluation.answer"} <= set(
        modules_needed([step])
    )


def test_a_step_with_an_engine_of_vllm_runs_beside_no_other(model_folder: Path) -> None:
    """Each takes the whole GPU, also for a model of which many fit beside each other."""
    more = {"small": [], "evaluated": ["evaluation.vllm=true"], "drawn": ["stages.read.grpo.vllm=true"]}
    cores = {}
    for name, overrides in more.items():
        recipe = load("arithmetic", [*REINFORCED, *overrides], model=str(model_folder))
        steps = by_label(graph(recipe))
        cores[name] = [
            steps[label].cores
            for label in ("train learn, seed 0", "train read, seed 0", "evaluate untrained, seed 0")
        ]
    assert cores == {"small": [1, 1, 1], "evaluated": [1, 1, ALL], "drawn": [1, ALL, 1]}


def test_a_stage_of_dpo_is_named_by_its_dials_and_draws_once(recipe: Recipe) -> None:
    preferred = ["stages.read.method=dpo", *REINFORCED[2:]]
    label = "train read, seed 0"
    step = by_label(graph(changed(recipe, *preferred)))[label]
    assert step.config["settings"]["dpo"] == Dpo().model_dump()
    assert step.config["settings"]["batch_size"] == recipe.stages["read"].batch_size  # pairs an update
    assert {"pbb.training.dpo", "pbb.models.decode", "pbb.reward"} <= set(modules_needed([step]))
    beta = by_label(graph(changed(recipe, *preferred, "stages.read.dpo.beta=0.2")))[label]
    assert beta.hash != step.hash


def test_a_training_is_named_by_all_the_code_of_training_that_it_runs(recipe: Recipe) -> None:
    """Also by what its modules import in turn."""
    for step in graph(changed(recipe, *REINFORCED)):
        if step.kind == "train":
            known = modules_needed([step])
            inner = [name for name in known if name.startswith("pbb.training.")]
            found = {
                node.module
                for name in inner
                for node in ast.walk(ast.parse(source_files(name)[1][0].read_text()))
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pbb.training.")
            }
            assert found <= set(known), step.label


def test_arms_of_the_retroactive_recipe_share_what_they_have_in_common() -> None:
    steps = graph(sized("retroactive"))
    named = by_label(steps)
    trained = sorted(s.label for s in steps if s.kind == "train")
    chains = (
        "read-all", "read-all + warm", "read-all + warm + run-grpo", "read-all + warm + run-sft", "read-io",
        "read-io + warm", "read-io + warm + run-sft", "run-sft", "warm", "warm + run-grpo-2",
        "read-all + warm + run-grpo-2", "read-all + warm + run-sft-2",
    )  # fmt: skip
    assert trained == sorted(f"train {chain}, seed 0" for chain in chains)
    warm = named["train read-all + warm, seed 0"]
    for way in ("sft", "grpo"):
        assert named[f"train read-all + warm + run-{way}, seed 0"].parents["model"] is warm
    asked = named["train read-all + warm + run-grpo, seed 0"].parents["documents"]
    assert asked.parents["run-sft"] is named["train run-sft, seed 0"].parents["documents"]  # the same calls


def test_a_ratio_is_held_against_the_arm_that_never_read_them(recipe: Recipe) -> None:
    scores = {name: graph(sized(name))[-2].config for name in ("arithmetic", "retroactive")}
    assert "control" not in scores["arithmetic"]
    assert scores["retroactive"]["control"] == "skip-exposure"


def test_the_weights_of_a_folder_are_part_of_the_hash(model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))

    def hashes() -> dict[str, str]:
        return {s.label: s.hash for s in graph(load("arithmetic", model=str(folder)))}

    before = hashes()
    assert hashes() == before
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    after = hashes()
    same = {label for label in before if before[label] == after[label]}
    assert same == {label for label in before if label.startswith(("programs", "documents"))}


def test_the_base_is_named_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(place.EMBEDDED, "base", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    before = by_label(graph(load("arithmetic")))["evaluate untrained, seed 0"]
    (tmp_path / "model.safetensors").write_bytes(b"0")
    after = by_label(graph(load("arithmetic")))["evaluate untrained, seed 0"]
    assert before.hash != after.hash and before.config["model"] == "base"


def test_the_command_makes_the_run_again(recipe: Recipe) -> None:
    assert command(load("arithmetic")) == "pbb run arithmetic"
    assert command(load("arithmetic", model=HUB, seeds=3)) == f"pbb run arithmetic --model {HUB} --seeds 3"
    said = shlex.split(command(load("arithmetic", ["seeds=[5, 7]"])))
    assert said[:4] == ["pbb", "run", "arithmetic", "--set"]
    assert load("arithmetic", said[4:]).seeds == [5, 7]


def test_the_command_of_a_changed_recipe_names_its_file(tmp_path: Path) -> None:
    changed = load("arithmetic", ["data.io=50"])
    assert command(changed) == f"pbb run runs/arithmetic/{changed.hash()}/recipe.yaml"
    path = tmp_path / "own.yaml"
    path.write_text("extends: arithmetic\ntitle: My own\n")
    assert command(load(str(path))).startswith("pbb run runs/own/")
    # the file in the run's folder is the recipe, name and all
    path = tmp_path / "recipe.yaml"
    path.write_text(as_yaml(changed))
    assert load(str(path)).hash() == changed.hash()


def test_arms_that_declare_what_is_asked_are_readers() -> None:
    steps = graph(load("retroactive"))
    [score] = [step for step in steps if step.kind == "score"]
    assert {"retroactive-grpo", "read-only"} <= set(score.config["readers"])
    assert not {"untrained", "skip-exposure", "execution-only"} & set(score.config["readers"])
    assert "starts" not in score.config


def test_a_model_that_is_nowhere_is_refused_before_anything_runs(refused: Refused) -> None:
    with refused("model: 'nowhere'"):
        graph(load("arithmetic", model="nowhere"))


def test_stages_that_differ_in_their_rate_share_their_documents_and_those_that_differ_in_phrasings_do_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "extends: arithmetic\nstages:\n  fast: {like: read, learning_rate: 0.01}\n  few: {like: read, templates: {prompt: 1}}\n"
        "  thin: {of: [learn, read], exposures: 0.5}\n  less: {like: read, programs: {io: 7}}\n"
        "arms:\n  fast: {stages: [learn, fast]}\n  few: {stages: [learn, few]}\n  thin: {stages: [thin]}\n"
        "  less: {stages: [less]}\n  prose: {stages: [read], represent: prose}\n"
    )
    named = by_label(graph(sized(str(path))))
    documents = {
        name: named[f"train {chain}, seed 0"].parents["documents"]
        for name, chain in (
            ("read", "learn + read"),
            ("fast", "learn + fast"),
            ("few", "learn + few"),
            ("thin", "thin"),
        )
    }
    assert documents["read"].hash == documents["fast"].hash != documents["few"].hash
    assert named["train learn + read, seed 0"].hash != named["train learn + fast, seed 0"].hash
    assert documents["few"].config["templates"] == {"prompt": 1, "response": 20}
    assert (
        set(documents["thin"].parents) == {"programs"}
        and documents["thin"].config["mix"][0]["per_program"] == 8
    )
    assert (
        named["evaluate less, seed 0"].config["shown"] == {"io": 7}
        and "shown" not in named["evaluate fast, seed 0"].config
    )
    assert named["evaluate prose, seed 0"].config["represent"] == "prose"


def test_programs_that_an_arm_was_not_shown_are_not_asked(recipe: Recipe) -> None:
    small = changed(recipe, "data.io=12", "data.source_only=3", "evaluation.io_programs=4")
    step = by_label(graph(small))["evaluate proactive, seed 0"]
    programs = small.data.programs(0, small.asked(), lambda done, total, note: None)
    first = {p.name for p in [p for p in programs if p.group == "io"][:5]}
    for shown, most in (({}, 12), ({"io": 5}, 5)):
        asked, questions = put(step.config | {"shown": shown}, programs)
        names = {q.program.name for q in questions if q.program.group == "io"}
        assert len(names) == 4 and {p.name for p in asked if p.group == "io"} == names
        assert (names <= first) == (most == 5)


@pytest.mark.parametrize(("calls", "direct"), [(3, 10), (10, 3)])
def test_twins_are_ruled_out_on_the_calls_that_are_asked_in_every_way(calls: int, direct: int) -> None:
    recipe = load("arithmetic", [f"evaluation.calls={calls}", f"evaluation.direct_calls={direct}"])
    assert [step.config["asked"] for step in graph(recipe) if step.kind == "programs"] == [3]


def test_what_is_asked_in_another_phrasing_is_trained_alike() -> None:
    steps, unseen = by_label(graph(load("phrasings"))), by_label(graph(load("phrasings-unseen")))
    assert steps.keys() < unseen.keys()
    for label, step in steps.items():
        assert (step.hash == unseen[label].hash) == (step.kind in ("programs", "documents", "train")), label
    p = load("phrasings").data.model_copy(update={"io": 1, "source_only": 1}).programs(0, 2, Progress())
    for found, words in ((steps, "What is"), (unseen, "We want")):
        _, asked = put(found["evaluate proactive, seed 0"].config, p)
        assert all(q.prompt.startswith(words) for q in asked)


def test_every_training_of_the_shipped_recipes_has_settings_that_training_takes() -> None:
    for name in shipped():
        # programs or models that are not on every machine
        for step in graph(load(name)) if name not in ("own", "leetcode", "sizes") else ():
            if step.kind == "train":
                settings = {k: v for k, v in step.config["settings"].items() if k not in ("grpo", "dpo")}
                assert Settings.model_validate(settings).seed == 0, (name, step.label)


def test_a_break_even_counts_what_the_level_alone_has_been_through() -> None:
    [asked] = graph(load("efficiency"))[-2].config["break_even"]
    assert asked["executed"] == {
        "without stage 1": 8000,
        "pairs alone": 8000,
    }  # 400 programs, the first 20 calls of each
    assert (asked["level"], asked["level_group"], asked["group"]) == ("proactive", "source_only", "io")


def test_the_command_of_a_run_that_lies_elsewhere_says_where(tmp_path: Path) -> None:
    run = tmp_path / "my runs" / "a" / "b"
    run.mkdir(parents=True)
    for recipe, words in (
        (load("arithmetic", seeds=2), "pbb run arithmetic --seeds 2 --out '{0}/my runs'"),
        (load("arithmetic", ["data.io=50"]), "pbb run '{0}/my runs/a/b/recipe.yaml' --out '{0}/my runs'"),
    ):
        (run / "recipe.yaml").write_text(as_yaml(recipe))
        assert command_of(run) == words.format(tmp_path)
    (run / "recipe.yaml").write_text("name: a\n")
    assert command_of(run) is None


def test_scores_rest_on_what_a_curve_compares_and_not_on_its_words() -> None:
    def of(*settings: str) -> tuple[str, str]:
        score, report = graph(load("programs-more", settings, model=HUB))[-2:]
        return score.hash, report.hash

    before = of()
    score = graph(load("programs-more", model=HUB))[-2]
    assert [c["name"] for c in score.config["curves"]] == ["with-io", "without-io"]
    title, lines = of("curves.0.title=Other"), of("curves.0.beside=[]")
    assert title[0] == before[0] and title[1] != before[1]
    assert lines[0] != before[0]
    assert "curves" not in graph(load("arithmetic", model=HUB))[-2].config


def test_documents_are_made_for_stages_that_arms_use(recipe: Recipe) -> None:
    """Their own, or those of a stage that joins them; a stage that no arm takes has none, and moves no other step."""
    whole = by_label(graph(recipe))
    without = by_label(graph(changed(recipe, "arms.wrong-source=null")))
    assert whole.keys() - without.keys() == {
        "documents read-wrong, seed 0",
        "train learn + read-wrong, seed 0",
        "evaluate wrong-source, seed 0",
    }
    kept = [label for label in without if label not in ("score", "report")]
    assert [without[label].hash for label in kept] == [whole[label].hash for label in kept]
    mixed = by_label(graph(changed(recipe, *(f"arms.{arm}=null" for arm in recipe.arms if arm != "mixed"))))
    assert [label for label in mixed if label.startswith("documents")] == [
        "documents learn, seed 0",
        "documents read, seed 0",
        "documents together, seed 0",
    ]


def test_a_file_called_as_a_recipe_may_size_it_for_a_model_that_that_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "sizes.yaml"
    path.write_text("extends: sizes\nmodels: {llm: {stages: {learn-code: {learning_rate: 1.0e-4}}}}\n")
    recipe = load(str(path), model="owner/name")
    without = recipe.model_copy(
        update={"arms": {"prose": recipe.arms["prose"]}, "hypotheses": [], "curves": []}
    )
    assert command(without).startswith("pbb run runs/sizes/")


def test_a_command_can_be_pasted(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "my bases")
    told = command(load("arithmetic", model=str(folder)))
    assert shlex.split(told) == ["pbb", "run", "arithmetic", "--model", str(folder)]


def test_trainings_that_are_called_alike_are_both_counted(recipe: Recipe) -> None:
    """A stage that is called as a model is."""
    both = {"base-strings": recipe.stages["read"], **recipe.stages}
    arms = {
        "a": Arm(model="base-strings", stages=["learn"]),
        "b": Arm(stages=["base-strings", "learn"]),
    }
    odd = recipe.model_copy(update={"stages": both, "arms": arms, "hypotheses": [], "curves": []})
    score = by_label(graph(odd))["score"]
    trained = [step for step in score.parents.values() if step.kind == "train"]
    assert len(trained) == 3 == len(set(score.config["trainings"].values()))
