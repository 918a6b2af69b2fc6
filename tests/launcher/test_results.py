"""The runs side by side: what is known of each, which is the best, and the table and JSON of `nox -s runs`."""

import json
import os
import time
from array import array
from pathlib import Path
from typing import Any

import pytest
from launcher import runs
from launcher.__main__ import main
from launcher.console import UserError
from launcher.results import chosen_model, results_of

from tests.launcher.samples import JOB, record_of, study_of, write_files

LOWER = study_of(
    {"ensemble": {"type": "integer", "min": 1, "max": 8}}, metric="rmse", goal="minimize"
)


def run(folder: Path, number: int, data: str = "data-1", flags: str = "", **metrics: Any) -> None:
    """Write what a run leaves: one that finished, if there are metrics."""
    job_dir = folder / "runs" / f"{number:04d}"
    job_dir.mkdir(parents=True)
    runs.write(record_of(folder, *flags.split(), data=data), job_dir, {})
    identity = {"data": data, "code": {"trainer/model.py": "1"}}
    write_files(job_dir, {"config.json": json.dumps({"identity": identity})})
    os.utime(job_dir / "record/run.json", (0, 60 * number))
    if metrics:
        write_files(job_dir, {"metrics.json": json.dumps(metrics), "model/saved_model.pb": ""})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a run on other data, three comparable ones, and one that was stopped."""
    history = [{"auc": 0.5}, {"auc": 0.75}, {"auc": 0.625}]
    run(tmp_path, 1, "data-0", split="eval", auc=0.99, history=[{"auc": 0.99}], wall_seconds=5.4)
    run(tmp_path, 2, split="test", auc=0.9, history=history, wall_seconds=60.6)
    flags = "--data-dir d -q --hidden-units 256,128,64 --seed=3 --ensemble 4"
    run(tmp_path, 3, flags=flags, split="test", auc=0.6, history=[{"auc": 0.8}], wall_seconds=7)
    run(tmp_path, 4, split="test", auc=0.7, history=[{"auc": 0.8}], wall_seconds=7)
    run(tmp_path, 5)
    write_files(tmp_path, {"job.toml": JOB})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return tmp_path


def test_the_table_sets_runs_on_other_data_apart(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line[:28].split()[:4] for line in lines] == [
        ["run", "started", "eval", "auc"],
        ["2", "01-01", "00:02", "0.75"],
        ["3*", "01-01", "00:03", "0.8"],
        [],
        ["4", "01-01", "00:04", "0.8"],
        ["5", "01-01", "00:05", "unfinished"],
        [],
        ["not", "comparable", "with", "those"],
        ["run", "started", "eval", "auc"],
        ["1*", "01-01", "00:01", "0.99"],
    ]
    assert lines[1].split()[4:] == ["0.9", "61", "data-1", lines[1].split()[-1]]
    shown = " ".join(line[56:].strip() for line in lines[2:4])
    assert shown == "hidden-units=256,128,64 seed=3 ensemble=4"
    assert max(map(len, lines)) <= 80
    assert "* by the eval split" in printed.err


@pytest.mark.parametrize(
    ("key", "numbers"),
    [("run", [2, 3, 4, 5, 1]), ("test", [3, 4, 2, 5, 1]), ("eval", [2, 3, 4, 5, 1])],
)
def test_json_has_every_run_in_the_order_that_was_asked_for(
    key: str, numbers: list[int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--json", "--sort", key]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["run"] for each in found] == numbers
    by_number = {each["run"]: each for each in found}
    assert by_number[3]["flags"] == {"hidden-units": "256,128,64", "seed": "3", "ensemble": "4"}
    expected = {"eval": 0.99, "test": None, "seconds": 5.4, "best": True, "metric": "auc"}
    assert expected.items() <= by_number[1].items()
    assert by_number[5]["seconds"] is None and not by_number[5]["best"]
    assert by_number[2]["started"] == "1970-01-01T00:02:00+00:00"


def test_the_best_of_an_error_is_the_least(tmp_path: Path) -> None:
    for number, errors in enumerate([(3.0, 2.0), (1.5, 9.0), (1.5,)], 1):
        history = [{"rmse": error} for error in errors]
        run(tmp_path, number, split="eval", rmse=errors[-1], history=history, wall_seconds=1)
    results = results_of(tmp_path / "runs", LOWER)
    assert [(each.eval, each.best) for each in results] == [(2.0, False), (1.5, True), (1.5, False)]


def test_a_run_is_chosen_by_its_number_or_as_the_best(project: Path) -> None:
    study = study_of({"ensemble": {"type": "integer", "min": 1, "max": 8}})
    for named, number in (("best", 3), ("2", 2), ("0004", 4)):
        assert chosen_model(project / "runs", named, study) == project / f"runs/000{number}/model"
    for named in ("9", "5"):
        expected = f"no run {named} with a model; expected best, or one of the runs 1, 2, 3, 4; see"
        with pytest.raises(UserError, match=expected):
            chosen_model(project / "runs", named, study)
    # The newest run's data counts, and nothing has finished on it.
    run(project, 6, "data-2")
    with pytest.raises(UserError, match="no run best with a model; expected best, or one"):
        chosen_model(project / "runs", "best", study)


def test_without_runs_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path, {"job.toml": JOB})
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 2
    assert capsys.readouterr().err == (
        "error: there is no run in runs; expected a run; run nox -s local_train first\n"
    )
    assert main(["predict", "--run", "best", "--model", "m"]) == 2
    assert "error: --model beside --run; expected one of the two" in capsys.readouterr().err


def evaluated(folder: Path, number: int, losses: list[float], rows_id: str = "a") -> None:
    job_dir = folder / "runs" / f"{number:04d}"
    document = {
        "source": {"rows_id": rows_id, "text": f"test table {rows_id}.csv: it had no part"},
        "metrics": {"auc": {"value": 0.75 + number / 100}, "log_loss": {"value": None}},
    }
    write_files(job_dir, {"evaluation/evaluation.json": json.dumps(document)})
    (job_dir / "evaluation/row_losses.bin").write_bytes(array("f", losses).tobytes())


@pytest.mark.parametrize(
    ("second", "line"),
    [
        # Differences of 0.25 and 0.75: their mean is 0.5, their standard error 0.025, and 1.96 of these 0.049.
        ([1.25, 2.75, 1.25, 2.75] * 25, "+0.5 ± 0.049 a row, 100 rows: more than chance"),
        ([0.75, 2.5, 1.0, 1.5], "-0.062 ± 0.42 a row, 4 rows: may be chance"),
    ],
)
def test_two_evaluations_are_compared_row_by_row(
    project: Path, capsys: pytest.CaptureFixture[str], second: list[float], line: str
) -> None:
    evaluated(project, 2, [1.0, 2.0] * (len(second) // 2))
    evaluated(project, 3, second)
    assert main(["runs", "2", "3"]) == 0
    printed = capsys.readouterr()
    assert f"run 3 - run 2: {line}\n" in printed.err
    assert "auc" in printed.out and "0.77" in printed.out and "0.78" in printed.out
    assert main(["runs", "2", "3", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["runs"] == [2, 3] and found["rows"] == len(second) and printed.err == ""
    assert found["values"] == {"auc": [0.77, 0.78], "log_loss": [None, None]}
    assert f"{found['difference']:+.2g} ± {1.96 * found['error']:.2g} a row" in line


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        (["2"], "2 does not name two runs; expected two numbers, such as 3 5"),
        (["2", "best"], "2 best does not name two runs"),
        (["2", "3", "--sort", "eval"], "--sort beside two runs; expected one of the two; leave"),
        (["2", "4"], "0004 has no evaluation; expected one of this version; run nox -s evaluate"),
        (["2", "9"], "there is no run 9; expected two runs of this machine; see nox -s runs"),
        (
            ["2", "3"],
            "0002 and 0003 were evaluated on other rows (test table a.csv and test table b.csv)",
        ),
    ],
)
def test_two_runs_that_cannot_be_compared_get_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], pair: list[str], error: str
) -> None:
    evaluated(project, 2, [1.0, 2.0])
    evaluated(project, 3, [1.0, 2.0], "b")
    assert main(["runs", *pair]) == 2
    assert error in capsys.readouterr().err


def test_one_row_says_nothing_about_chance(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(project, 2, [0.5])
    evaluated(project, 3, [0.25])
    assert main(["runs", "2", "3"]) == 0
    assert "run 3 - run 2: -0.25 ± inf a row, 1 rows: may be chance" in capsys.readouterr().err
    assert main(["runs", "2", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["error"] is None


def test_an_evaluation_without_the_losses_of_its_rows_gets_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(project, 2, [1.0, 2.0])
    evaluated(project, 3, [1.0, 2.0])
    (project / "runs/0003/evaluation/row_losses.bin").unlink()
    assert main(["runs", "2", "3"]) == 2
    assert "0003 has no evaluation; expected one of this version;" in capsys.readouterr().err


def test_measures_that_one_evaluation_lacks_are_blank(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(project, 2, [1.0, 2.0])
    evaluated(project, 3, [1.0, 2.0])
    path = project / "runs/0003/evaluation/evaluation.json"
    path.write_text(path.read_text("utf-8").replace("auc", "pr_auc"), encoding="utf-8")
    assert main(["runs", "2", "3"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["auc", "0.77"] in lines and ["pr_auc", "0.78"] in lines


def test_the_metric_that_chose_the_newest_run_is_compared(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"metric": "log_loss", "goal": "minimize", "wall_seconds": 1.0}
    lower, higher = {"auc": 0.7, "log_loss": 0.3}, {"auc": 0.9, "log_loss": 0.5}
    run(tmp_path, 1, history=[lower, higher], wall_seconds=1.0)
    auc = study_of({"ensemble": {"type": "integer", "min": 1, "max": 8}})
    assert [each.eval for each in results_of(tmp_path / "runs", auc)] == [0.9]
    run(tmp_path, 2, history=[higher], **chosen)
    run(tmp_path, 3)
    found = results_of(tmp_path / "runs", auc)
    assert [(each.metric, each.eval) for each in found[:2]] == [
        ("log_loss", 0.3),
        ("log_loss", 0.5),
    ]
    assert [each.run for each in found if each.best] == [1]


def test_a_study_without_a_metric_leaves_the_loss(tmp_path: Path) -> None:
    run(tmp_path, 1, history=[{"loss": 0.5}, {"loss": 0.25}], wall_seconds=1.0)
    none = study_of({"ensemble": {"type": "integer", "min": 1, "max": 8}}, metric="", goal="")
    assert [each.eval for each in results_of(tmp_path / "runs", none)] == [0.25]
