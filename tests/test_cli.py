"""The command line: results on standard output, one line on standard error where something is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import fake_recipe  # noqa: E402

import pbb  # noqa: E402
import pbb.findings  # noqa: E402, F401
from pbb import folder as folders  # noqa: E402
from pbb.cli import main  # noqa: E402
from pbb.console import comparison, console, echo_lines, score_table, verdict_lines  # noqa: E402
from pbb.errors import PbbError  # noqa: E402

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    modules = fake_recipe.modules()
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    # which has taken them by name
    monkeypatch.setattr("pbb.findings.load", modules["pbb.recipe_file"].load)
    monkeypatch.setattr("pbb.findings.graph", modules["pbb.recipe_graph"].graph)
    monkeypatch.chdir(tmp_path)


def said(capfd: Capture, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capfd.readouterr()
    return code, out, err


def refused(capfd: Capture, *arguments: str) -> str:
    """The one line of a command that exits with 2; progress lines of a run may stand before it."""
    code, out, err = said(capfd, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("pbb: ")]
    assert (code, out, len(lines)) == (2, "", 1), err
    assert err.endswith(lines[0] + "\n")
    assert "Traceback" not in err
    return lines[0]


def test_run_prints_the_table_and_lays_out_the_results(capfd: Capture) -> None:
    code, out, err = said(capfd, "run", "fake")
    assert code == 0
    directory = Path("runs/fake/0123")
    assert out.rstrip().endswith(str(directory / "report.html"))
    for text in ("untrained", "proactive", "62.5", "[57.5, 67.5]", "w/ IO 45.0", "5 steps run, 0 reused"):
        assert text in out, text
    assert "proactive, direct, w/ IO: 2.0 % unreadable" in out
    assert out.index("direct") < out.index("recite")
    assert "train: started" in err
    assert json.loads((directory / "scores.json").read_text()) == fake_recipe.SCORES
    assert (directory / "report.html").read_text() == "<html>report</html>"
    assert (directory / "figures" / "accuracy.svg").exists()
    assert (directory / "recipe.yaml").read_text() == "name: fake\n"
    environment = json.loads((directory / "environment.json").read_text())
    assert environment["pbb"] == pbb.__version__
    assert environment["threads"] == 1
    assert environment["versions"]["torch"]
    assert not [path for path in directory.rglob("*.tmp")]

    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    code, out, err = said(capfd, "run", "fake")
    assert (code, err) == (0, "all 5 steps are there already\n")
    assert "0 steps run, 5 reused" in out
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_json_is_all_that_goes_to_standard_output(capfd: Capture) -> None:
    code, out, _ = said(capfd, "run", "fake", "--json", "--threads", "1", "--workers", "1")
    assert code == 0
    assert json.loads(out) == fake_recipe.SCORES


def test_options_reach_the_recipe(capfd: Capture) -> None:
    said(
        capfd,
        "run",
        "fake",
        "--model",
        "m",
        "--seeds",
        "3",
        "--set",
        "a=1",
        "--set",
        "b=2",
        "--out",
        "elsewhere",
    )
    assert Path("elsewhere/fake/0123-1-2-m-3/scores.json").exists()
    said(capfd, "run", "fake", "--launch", "torchrun", "--processes", "2")
    assert Path("runs/fake/0123-2/scores.json").exists()
    code, out, _ = said(capfd, "show", "fake", "--set", "a=1")
    assert (code, out) == (0, "name: fake\na: '1'\n")


def test_findings_are_planned_made_and_gathered_and_one_that_fails_leaves_the_others(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pbb.findings.FINDINGS", {"refuse": "Is it?", "fake": "And so?"})
    code, out, _ = said(capfd, "findings", "--plan", "--json")
    rows = {row["recipe"]: (row["steps"], row["missing"]) for row in json.loads(out)}
    assert code == 0 and rows == {"refuse": (5, 5), "fake": (5, 3)}  # programs and documents are the same
    assert not Path("runs").exists()
    code, out, err = said(capfd, "findings")
    assert code == 1 and "Is it?" in out and out.rstrip().endswith("runs/index.html")
    assert "pbb: refuse: " in err and "2 of 5 steps taken from refuse/0123-3" in err
    assert (
        Path("runs/fake/0123-3/scores.json").exists() and "And so" not in Path("runs/index.html").read_text()
    )
    assert "<code>pbb run fake</code>" in Path("runs/index.html").read_text()
    code, out, _ = said(capfd, "findings", "fake", "--json")
    assert (code, json.loads(out)["failed"]) == (0, {})
    assert "made" in said(capfd, "findings", "fake", "--plan")[1]
    assert "no finding 'nobody'" in refused(capfd, "findings", "nobody")


def test_rows_that_pool_the_seeds_stand_for_all(capfd: Capture) -> None:
    row = fake_recipe.row
    rows = [
        row("a", "source_only", "direct", share, seed) for share, seed in ((0.1, 0), (0.9, 1), (0.5, "all"))
    ]
    console().print(score_table({"scores": rows}))
    out = capfd.readouterr().out
    assert "50.0" in out
    assert "10.0" not in out
    assert "90.0" not in out


def test_sampled_answers_stand_below_the_greedy_ones(capfd: Capture) -> None:
    parts = [{"k": k, "accuracy": share} for k, share in ((1, 0.125), (2, 0.25), (8, 0.75))]
    for told, words in ((parts, ["pass@1 12.5", "pass@8 75.0"]), (parts[:1], ["pass@1 12.5"]), (None, [])):
        row = fake_recipe.row("a", "source_only", "direct", 0.5) | {"pass_at_k": told}
        console().print(score_table({"scores": [row]}))
        out = capfd.readouterr().out
        assert out.count("pass@") == len(words) and all(word in out for word in words)


def test_composites_stand_below_the_programs_that_they_are_made_of(capfd: Capture) -> None:
    groups = {"source_only": 0.875, "source_only_composed": 0.625, "io": 0.5, "io_composed": 0.25}
    rows = [fake_recipe.row("a", group, "recite", share) for group, share in groups.items()]
    console().print(score_table({"scores": rows}))
    lines = [line.split("│")[2].strip() for line in capfd.readouterr().out.splitlines() if "│" in line]
    assert lines == ["87.5", "[82.5, 92.5]", "composed 62.5", "w/ IO 50.0"]


def test_an_arm_that_both_runs_have_and_asked_otherwise_is_named(
    capfd: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas

    for name in "AB":
        folder = tmp_path / name
        folder.mkdir()
        (folder / "recipe.yaml").touch()
        row = {"group": "source_only", "split": "test", "ask": "trace", "seed": 0, "sample": 0, "source": "s"}
        row |= {"correct": True, "call": "f(1)"}
        programs = {"same": "f", "apart": name, f"only-{name}": "f"}
        rows = [row | {"arm": arm, "program": program} for arm, program in programs.items()]
        pandas.DataFrame(rows).to_parquet(folder / "predictions.parquet")
    monkeypatch.setattr("pbb.runs.evaluations", lambda run: [run])
    code, out, err = said(capfd, "compare", str(tmp_path / "A"), str(tmp_path / "B"), "--json")
    assert code == 0 and [row["arm"] for row in json.loads(out)] == ["same"]
    assert err.splitlines() == [
        "pbb: only run 1 has only-A",
        "pbb: only run 2 has only-B",
        "pbb: not asked the same calls in both runs: apart",
    ]


def test_two_runs_stand_beside_each_other_in_percent(capfd: Capture) -> None:
    row = {
        "arm": "[bold]a",
        "other": "[bold]a",
        "group": "source_only",
        "split": "test",
        "ask": "direct",
        "first": 0.5,
        "second": 0.625,
    }
    row |= {"difference": 0.125, "low": -0.02, "high": 0.27, "p_holm": 0.043, "n": 200, "left_out": 3}
    console().print(comparison([row, row | {"split": "none", "ask": "recall"}]))
    first, second = [line for line in capfd.readouterr().out.splitlines() if "[bold]a" in line]
    for text in ("50.0", "62.5", "+12.5 [-2.0, +27.0]", "0.043", "200", "3", "w/o IO, test"):
        assert text in first, first
    assert "recall" in second and "test" not in second


def test_a_run_is_held_against_published_tables(capfd: Capture) -> None:
    said(capfd, "run", "fake")
    folder = Path("tables")
    folder.mkdir()
    head = "arm,seed,group,split,ask,accuracy,low,high\n"
    refusal = (
        "compare: tables: neither a run nor a folder of published tables (CSV files with the columns arm, "
    )
    assert refusal in refused(capfd, "compare", "fake", "tables")
    (folder / "a.csv").write_text(f"{head}proactive,0,source_only,test,direct,0.31,0.27,0.34\n")
    code, out, err = said(capfd, "compare", "fake", "tables")
    assert (code, err, out.count("\n")) == (0, "", 1)
    for words in ("1 of 1 published accuracies", "of the same programs (seeds published: 0; of the run: 0)"):
        assert words in out, out
    (folder / "b.csv").write_text(
        f"{head}proactive,1,io,test,direct,0.8,0.7,0.9\nnobody,1,io,test,direct,0.8,0.7,0.9\n"
    )
    code, out, _ = said(capfd, "compare", "fake", "tables")
    assert code == 0 and "1 of 2 published accuracies" in out
    assert "programs are in part the same" in out and "1 more are of arms, seeds or ways of asking" in out
    (row,) = [line for line in out.splitlines() if "b.csv" in line]
    for words in ("proactive", "w/ IO, test", "direct", "80.0 [70.0, 90.0]", "45.0 [40.0, 50.0]"):
        assert words in row, row
    code, out, err = said(capfd, "compare", "fake", "tables", "--json")
    found = json.loads(out)
    assert (code, err, found["held"], found["within"], len(found["outside"])) == (0, "", 2, 1, 1)
    assert "--arms: published arms are held" in refused(capfd, "compare", "fake", "tables", "--arms", "a=b")
    (folder / "b.csv").write_text(f"{head}proactive,0,io\n")
    assert "b.csv:2: not as many values as columns" in refused(capfd, "compare", "fake", "tables")
    assert "run: nowhere: no run directory" in refused(capfd, "compare", "fake", "nowhere")
    for broken in ("[]", '{"scores": [{"arm": "proactive"}]}', '{"scores": {}}'):
        Path("runs/fake/0123/scores.json").write_text(broken)
        assert "has no scores.json that can be read" in refused(capfd, "compare", "fake", "tables")


def test_a_claim_is_one_line_with_its_numbers_or_without() -> None:
    row = {
        "verdict": "confirmed",
        "says": "reading counts",
        "arm": "b",
        "above": "a",
        "ask": "trace",
        "group": "io",
    }
    found = verdict_lines(
        {"hypotheses": [row | {"p_holm": 0.0012, "difference": -0.1}, row | {"p_holm": None}]}
    )
    assert found == [
        "confirmed: reading counts (b above a, trace, w/ IO: -10.0 points, p = 0.0012)",
        "confirmed: reading counts (b above a, trace, w/ IO)",
    ]


def test_a_table_without_scores_is_a_table(capfd: Capture) -> None:
    console().print(score_table({"scores": [fake_recipe.row("a", "io", "recall", 0.5)]}))
    assert "w/ IO 50.0" in capfd.readouterr().out
    console().print(score_table({"scores": []}))


def test_a_run_that_asks_for_recall_alone_has_a_table_of_it(capfd: Capture) -> None:
    """It has no inputs to hold out; beside other ways of asking the table is of held-out inputs."""
    recall = fake_recipe.row("a", "source_only", "recall", 0.25) | {"split": "none"}
    console().print(score_table({"scores": [recall]}))
    assert "recall" in (said := capfd.readouterr().out) and "25.0" in said
    console().print(score_table({"scores": [recall, fake_recipe.row("a", "source_only", "direct", 0.5)]}))
    assert "recall" not in (said := capfd.readouterr().out) and "50.0" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "unknown"], "recipe: unknown: no such recipe"),
        (["show", "unknown"], "recipe: unknown: no such recipe"),
        (["run", "fake", "--set", "data.nonsense=1"], "data.nonsense: no such key"),
        (["run", "fake", "--seeds", "many"], "--seeds"),
        (["run", "fake", "--seeds", "0"], "--seeds"),
        (["run", "fake", "--workers", "0"], "--workers"),
        (["run", "fake", "--processes", "2"], "--processes 2: give --launch torchrun with it"),
        (["run", "fake", "--launch", "mpirun"], "--launch mpirun: expected torchrun or fsdp"),
        (["run", "fake", "--nonsense"], "No such option"),
        (["run", "fake", "--out", "a-file"], "Not a directory: a-file"),
        (["run", "refuse"], "data.programs: 0: give at least one program"),
        (["run", "full"], "No space left on device"),
        (["ask", "nowhere", "Zibble(7)"], "run: nowhere: no run directory"),
        (["ask", "fake"], "Missing"),
        (["data"], "Missing command"),
        (["data", "make", "fake"], "--out"),
        (["data", "show", "nowhere.jsonl"], "data: nowhere.jsonl: no such file"),
        (["data", "show", "a-file"], "a-file:1: no JSON object"),
        (["nonsense"], "No such command"),
    ],
)
def test_what_a_person_can_mend_is_one_line(capfd: Capture, arguments: list[str], words: str) -> None:
    Path("a-file").write_text("no json\n")
    assert words in refused(capfd, *arguments)


def test_an_unwritable_folder_is_one_line(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(self: Path, *args: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", deny)
    line = refused(capfd, "run", "fake", "--out", "/root/runs")
    assert "Permission denied: /root/runs/fake/0123: choose a folder that you may write to" in line


def test_a_crash_of_a_step_names_its_traceback(capfd: Capture) -> None:
    code, out, err = said(capfd, "run", "crash")
    assert (code, out) == (1, "")
    line = err.splitlines()[-1]
    assert line.startswith("pbb: train failed: KeyError: 'no such key'; its traceback is in ")
    assert "Traceback" in Path(line.rsplit(" ", 1)[1]).read_text()
    assert "Traceback" not in err


def test_an_unexpected_error_is_one_line_and_a_file(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = said(capfd, "run", "broken")
    assert (code, out, err.count("\n")) == (1, "", 1)
    path = Path(err.split()[-1])
    assert "Traceback" in path.read_text()
    assert path.read_text().startswith("pbb run broken\n")


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "fake_recipe.py"), "run", "stuck"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    end = time.monotonic() + 30
    while not list(tmp_path.glob("runs/stuck/*/steps/train-*/pids.json")):
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "pbb: stopped; `pbb run stuck` again continues from here"


def test_ask_takes_a_directory_or_the_latest_run_of_a_recipe(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, str, str]] = []

    def inquire(evaluation: Path, call: str) -> list[dict[str, Any]]:
        record = json.loads((evaluation / "inputs.json").read_text())
        asked.append((evaluation.parents[1], call, record["config"]["arm"]))
        right = {"ask": "direct", "answer": "17", "generation": "17", "true": "17", "right": True}
        return [right, right | {"ask": "trace", "generation": "x = [3]", "answer": None, "right": False}]

    module = ModuleType("pbb.evaluation.inquire")
    module.inquire = inquire  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pbb.evaluation.inquire", module)
    said(capfd, "run", "fake")
    said(capfd, "run", "fake", "--seeds", "2")
    older, latest = Path("runs/fake/0123"), Path("runs/fake/0123-2")
    for age, directory in ((100, older), (50, latest)):
        for arm in ("mixed", "proactive"):
            folder = directory / "steps" / f"evaluate-{arm}"
            folder.mkdir()
            (folder / "inputs.json").write_text(
                json.dumps({"config": {"arm": arm, "seed": 0}, "parents": {}})
            )
            folders.mark_done(folder, {})
        for path in directory.iterdir():
            os.utime(path, (time.time() - age,) * 2)
    code, out, err = said(capfd, "ask", "fake", "Zibble(7)")
    assert code == 0
    assert err.startswith("pbb: taking the newest evaluation, runs/fake/0123-2/steps/evaluate-proactive: ")
    assert err.count("\n") == 1  # the stand-in recipe has no such step
    for text in ("direct", "trace", "x = [3]", "right", "wrong", "unreadable"):
        assert text in out, text
    code, out, _ = said(capfd, "ask", str(older), "Zibble(7)", "--arm", "mixed", "--json")
    assert [row["right"] for row in json.loads(out)] == [True, False]
    assert asked == [(latest, "Zibble(7)", "proactive"), (older, "Zibble(7)", "mixed")]
    assert "no arm 'retroactive'" in refused(capfd, "ask", "fake", "Zibble(7)", "--arm", "retroactive")


def test_recipes_are_listed_with_their_titles(capfd: Capture) -> None:
    code, out, err = said(capfd, "recipes")
    assert (code, err) == (0, "")
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [["fake", "The fake recipe  "]]


def test_pretrain_hands_over_its_options(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[tuple[int, ...]] = []

    def pretrain(
        out: Path, *, seed: int, steps: tuple[int, ...], width: int, layers: int, report: Any
    ) -> dict[str, float]:
        handed.append((*steps, width, layers))
        report(steps[0], steps[1], "loss 1")
        return {"direct": seed / 8}

    module = ModuleType("pbb.pretrain")
    module.pretrain = pretrain  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pbb.pretrain", module)
    code, out, _ = said(capfd, "pretrain", "--seed", "2", "--out", "here")
    assert (code, out) == (0, "direct: 25.0 %\nhere\n")
    said(capfd, "pretrain", "--steps", *"321110000", "--width", "64", "--layers", "4")
    assert handed[1:] == [(3, 2, 1, 1, 1, 0, 0, 0, 0, 64, 4)] and len(handed[0]) == 11
    assert "--steps" in refused(capfd, "pretrain", "--steps", "3", "-1", "1")
    assert "--seed" in refused(capfd, "pretrain", "--seed", "-1")


def test_data_make_runs_only_data_and_data_show_prints_it(capfd: Capture) -> None:
    code, out, err = said(capfd, "data", "make", "fake", "--out", "data")
    assert code == 0
    assert out.split() == ["data/programs-seed-0.jsonl", "data/documents-a-stage-1.jsonl", "data/README.md"]
    assert "config_name: documents-a-stage-1" in Path("data/README.md").read_text(encoding="utf-8")
    assert "train" not in err
    assert sorted(path.name for path in Path("data").iterdir()) == [
        Path(name).name for name in sorted(out.split())
    ]
    code, out, _ = said(capfd, "data", "show", "data/programs-seed-0.jsonl")
    assert code == 0
    assert "def Zibble(x):" in out


def test_data_show_prints_programs_and_documents(capfd: Capture) -> None:
    examples = [{"args": [3, "a"], "kwargs": {"k": 1}, "output": [4], "split": "train"}] * 8
    source = "def Zibble(x):\n    return x + 1\n"
    program = {"name": "Zibble", "entry": "Zibble", "source": source, "prose": "Adds one."}
    program["examples"] = examples  # type: ignore[assignment]
    document = {"prompt": "What is [Zibble(3)]?", "completion": "4", "program": "Zibble", "ask": None}
    Path("both.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in (program, document, program))
    )
    code, out, _ = said(capfd, "data", "show", "both.jsonl", "-n", "2")
    assert code == 0
    for text in ("return x + 1", "Adds one.", "Zibble(3, 'a', k=1) -> [4]", "and 2 more examples"):
        assert text in out, text
    assert "What is [Zibble(3)]?" in out
    assert out.count("def Zibble") == 1


def test_version_and_help_do_not_load_the_heavy_libraries() -> None:
    code = (
        "import sys; from pbb.cli import main\n"
        "codes = main(['--version']), main(['run', '--help']), main([])\n"
        "print(codes, sorted({'torch', 'transformers', 'pandas', 'numpy', 'rich'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith(f"pbb {pbb.__version__}\n")
    assert out.endswith("(0, 0, 0) []\n")


def test_python_m_pbb_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "pbb", "nonsense"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pbb: No such command 'nonsense'. See `pbb --help`.\n"


def test_from_python(tmp_path: Path) -> None:
    import pbb.run  # loading the module must not hide the function

    result = pbb.run("fake", seeds=2, out=tmp_path / "out", **{"data.programs": 20})  # type: ignore[operator]
    assert result.directory == tmp_path / "out" / "fake" / "0123-20-2"
    assert list(result.scores["ask"]) == ["direct", "direct", "direct", "recite"]
    assert result.outcome.ran == 5
    (result.directory / "scores.json").unlink()
    again = pbb.run("fake", seeds=2, out=tmp_path / "out", **{"data.programs": 20})  # type: ignore[operator]
    assert again.scores.equals(result.scores)
    with pytest.raises(PbbError):
        pbb.run("unknown")  # type: ignore[operator]


def test_bars_of_libraries_are_for_terminals() -> None:
    code = "from pbb.cli import main; main(['recipes']); from tqdm.auto import tqdm; list(tqdm(range(3)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == ""


def test_blank_lines_between_records_are_no_records(tmp_path: Path, capfd: Capture) -> None:
    """As where a recipe reads the file."""
    (tmp_path / "some.jsonl").write_text('\n{"name": "a"}\n\n{"name": "b"}\n{"name": "c"}\n')
    code, out, _ = said(capfd, "data", "show", str(tmp_path / "some.jsonl"), "-n", "2")
    assert code == 0 and "2  a" in out and "4  b" in out and "5  c" not in out


def test_direct_answers_are_told_beside_giving_an_argument_back() -> None:
    def row(arm: str, seed: object, unechoed: float | None, **more: object) -> dict[str, object]:
        asked = {"group": "source_only", "split": "test", "ask": "direct", "echo": 0.196}
        return {"arm": arm, "seed": seed, "unechoed": unechoed} | asked | more

    rows = [row("untrained", "all", 0.015), row("proactive", "all", 0.067), row("proactive", 0, 0.5)]
    others = [
        row("other", "all", 0.9, group="io"),
        row("other", "all", 0.9, ask="trace"),
        row("other", "all", None),
    ]
    assert echo_lines({"scores": rows + others}) == [
        "direct: giving an argument back would earn 19.6 %; of the other calls right, in %: untrained 1.5, proactive 6.7"
    ]
    assert echo_lines({"scores": [row("untrained", "all", 0.015, echo=0.04)]}) == []
    assert (
        echo_lines({"scores": [{k: v for k, v in rows[0].items() if k != "echo"}]}) == []
    )  # of an earlier version
