"""A study on this machine: trials as processes, the best of them, and how a stopped study resumes."""

import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from launcher.console import UserError
from launcher.runs import best_arguments, next_study
from launcher.spec.custom_job import RUN_LABEL
from launcher.spec.study import Outcome, Study
from launcher.subprocesses import Process
from launcher.tuning import optuna_sampler, report, search
from launcher.tuning.search import counted, most_in_parallel, reported_names

from tests.launcher.samples import BATCH, DROPOUT, ENSEMBLE, QUIET, RATE, UNITS, study_of

PARAMETERS = {"learning_rate": RATE, "batch_size": BATCH}
# A trainer whose metric is best at the learning rate 0.01, and which records each start.
TRAINER = """
import json, math, pathlib, sys, time
flags = dict(zip(sys.argv[2::2], sys.argv[3::2]))
folder = pathlib.Path(sys.argv[1])
with (folder / "starts").open("a") as file:
    file.write("x")
rate = float(flags.get("--learning-rate", "0.09"))
value = 1 - abs(math.log10(rate) + 2)
for step in range(3):
    with (folder / "output.metrics").open("a") as file:
        file.write(json.dumps({"auc": REPORT, "global_step": str(step)}) + "\\n")
    time.sleep(float(PAUSE))
(folder / "metrics.json").write_text("{}")
sys.exit(CODE)
"""
JOB = {
    "labels": {RUN_LABEL: "study"},
    "jobSpec": {
        "workerPoolSpecs": [{"containerSpec": {"imageUri": "image", "args": []}}],
        "baseOutputDirectory": {"outputUriPrefix": "gs://b/n/jobs/study"},
    },
}


def work_in(folder: Path, study: Study) -> search.Search:
    """Return a study in a folder, new or resumed."""
    folder.mkdir(exist_ok=True)
    return search.Search(study, folder, JOB, folder, folder, folder, QUIET)


@pytest.fixture(autouse=True)
def fake_trainer(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let trials run a small program; what is changed in the returned dictionary changes it."""
    parts = {"PAUSE": "0", "CODE": "0", "REPORT": "str(value * (step + 1) / 3)"}

    def start(work: search.Search, trial: str, custom_job: Mapping[str, Any]) -> Process:
        folder = work.folder / trial
        folder.mkdir(exist_ok=True)
        program = TRAINER
        for name, text in parts.items():
            program = program.replace(name, text)
        flags = custom_job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
        command = [sys.executable, "-c", program, str(folder), *flags]
        with work.log(trial).open("ab") as output:
            return Process(trial, command, folder, os.environ, output)

    monkeypatch.setattr(search, "start", start)
    return parts


@pytest.mark.minute
def test_a_study_ends_with_the_best_of_its_trials(tmp_path: Path) -> None:
    study = study_of(PARAMETERS, early_stopping="none")
    work = work_in(tmp_path / "study-0001", study)
    search.search(work, 8, 2)
    outcomes = optuna_sampler.outcomes(work.optuna_study)
    assert [each.number for each in outcomes] == [*range(1, 9)]
    assert {each.state for each in outcomes} == {"complete"}
    default = work.value(search.DEFAULTS)
    best = report.write(work.folder, study, outcomes, default, QUIET)
    assert best and best.value == max(each.value or 0 for each in outcomes)
    assert best_arguments(tmp_path, "best") == best.values
    assert best_arguments(tmp_path, "3") == outcomes[2].values
    with pytest.raises(UserError, match="has no trial 99"):
        best_arguments(tmp_path, "99")


def test_a_study_without_a_result_has_no_best_arguments(tmp_path: Path) -> None:
    report.write(tmp_path / "study-0001", study_of(PARAMETERS), [], None, QUIET)
    with pytest.raises(UserError, match="no trial of study-0001 has a result"):
        best_arguments(tmp_path, "best")


@pytest.mark.parametrize(
    "content", ["{}", "[]", "{", '{"best": 1, "trials": [{"number": 1}]}', "\ufeff{}"]
)
def test_a_study_of_another_program_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "study-0001").mkdir()
    (tmp_path / "study-0001" / "study.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"study.json cannot be read \(.*; expected .*; remove"):
        best_arguments(tmp_path, "best")


@pytest.mark.minute
def test_a_stopped_study_resumes_and_runs_each_trial_once(
    tmp_path: Path, fake_trainer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(PARAMETERS, early_stopping="none")
    fake_trainer["PAUSE"] = "0.2"
    work, looks = work_in(tmp_path, study), 0

    def interrupt(work: search.Search) -> None:
        nonlocal looks
        looks += 1
        if looks >= 6 and work.optuna_trials:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(search, "check_failures", interrupt)
        search.search(work, 8, 2)
    running = [
        each for each in optuna_sampler.outcomes(work.optuna_study) if each.state == "running"
    ]
    assert running
    fake_trainer["PAUSE"] = "0"
    again = work_in(tmp_path, study)
    search.search(again, 8, 2)
    outcomes = optuna_sampler.outcomes(again.optuna_study)
    assert Counter(each.state for each in outcomes) == {"complete": 8}
    assert len({each.flags for each in outcomes}) == 8
    stopped = [str(each.number) for each in running]
    starts = {path.parent.name: len(path.read_text()) for path in tmp_path.glob("*/starts")}
    assert all(starts[str(each.number)] == 1 + (str(each.number) in stopped) for each in outcomes)


@pytest.mark.minute
def test_a_trial_below_the_median_is_stopped_early(
    tmp_path: Path, fake_trainer: dict[str, str]
) -> None:
    fake_trainer["PAUSE"] = "60"
    work = work_in(tmp_path, study_of({"learning_rate": RATE}, early_stopping="median"))
    for _ in range(optuna_sampler.STARTUP_TRIALS):
        ahead = work.optuna_study.ask()
        ahead.report(0.9, 0)
        work.optuna_study.tell(ahead, 0.9)
    search.propose(work, work.optuna_study.ask())
    deadline = time.monotonic() + 60
    while work.running and time.monotonic() < deadline:
        search.watch(work, str(optuna_sampler.STARTUP_TRIALS + 1))
        time.sleep(0.05)
    [outcome] = optuna_sampler.outcomes(work.optuna_study)
    assert outcome.state == "stopped"


@pytest.mark.minute
def test_failed_trials_are_counted_and_end_the_study(
    tmp_path: Path, fake_trainer: dict[str, str]
) -> None:
    fake_trainer["CODE"] = "3"
    work = work_in(tmp_path, study_of(PARAMETERS, failed_trials=2))
    with pytest.raises(UserError, match="3 of 3 trials failed, the last: .*; expected at most 2"):
        search.search(work, 8, 1)
    assert Counter(each.state for each in optuna_sampler.outcomes(work.optuna_study)) == {
        "failed": 3
    }


@pytest.mark.parametrize(
    ("reported", "measurement", "reason"),
    [
        ("'nan'", "best", "auc is 'nan' at step 2"),
        ("'inf' if step == 2 else '0.5'", "last", "auc is 'inf' at step 2"),
        ("'high'", "best", "auc is 'high' at step 2"),
        ("None", "best", "auc is None at step 2"),
        ("[0.5]", "best", r"auc is \[0.5\] at step 2"),
    ],
)
def test_a_metric_that_is_no_number_is_the_reason_of_a_failure(
    tmp_path: Path, fake_trainer: dict[str, str], reported: str, measurement: str, reason: str
) -> None:
    fake_trainer["REPORT"] = reported
    work = work_in(tmp_path, study_of(PARAMETERS, measurement=measurement, failed_trials=3))
    with pytest.raises(UserError, match=f"trials failed, the last: {reason}; expected"):
        search.search(work, 1, 1)


def test_a_metric_that_is_no_number_in_mid_run_is_reported(
    tmp_path: Path, fake_trainer: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_trainer["REPORT"] = "'nan' if step == 1 else '0.5'"
    search.search(work_in(tmp_path, study_of(PARAMETERS)), 1, 1)
    assert "warning: trial 1: auc is 'nan' at step 1; expected a finite" in capsys.readouterr().err


def test_a_metric_that_is_never_reported_ends_the_study(tmp_path: Path) -> None:
    work = work_in(tmp_path, study_of(PARAMETERS, metric="acu"))
    with pytest.raises(
        UserError, match="metric is acu, and a run reported auc; expected .*; write auc"
    ):
        search.search(work, 8, 1)


@pytest.mark.minute
def test_a_grid_has_every_combination_once(tmp_path: Path) -> None:
    ensemble = {**ENSEMBLE, "max": 2}
    parameters = {"hidden_units": UNITS, "ensemble": ensemble, "batch_size": BATCH}
    study = study_of(parameters, algorithm="grid")
    assert len(list(optuna_sampler.grid(study))) == 8
    work = work_in(tmp_path, study)
    search.search(work, 8, 2)
    assert len({each.flags for each in optuna_sampler.outcomes(work.optuna_study)}) == 8


@pytest.mark.minute
def test_a_conditional_parameter_is_active_only_under_its_condition(tmp_path: Path) -> None:
    study = study_of({"dropout": DROPOUT, "ensemble": {**ENSEMBLE, "max": 2}}, algorithm="random")
    found = optuna_sampler.open_study(study, tmp_path / "study.db")
    values = [optuna_sampler.propose_values(found.ask(), study) for _ in range(30)]
    assert {each["ensemble"] for each in values} == {1, 2}
    assert all(("dropout" in each) == (each["ensemble"] == 1) for each in values)


@pytest.mark.minute
def test_values_are_within_their_bounds_on_every_scale(tmp_path: Path) -> None:
    scales = ("log", "linear", "reverse_log")
    parameters = {f"rate_{scale}": {**RATE, "scale": scale} for scale in scales}
    parameters |= {f"size_{scale}": {**ENSEMBLE, "scale": scale} for scale in scales}
    study = study_of(parameters, algorithm="random")
    found = optuna_sampler.open_study(study, tmp_path / "study.db")
    values = [optuna_sampler.propose_values(found.ask(), study) for _ in range(41)]
    rates = [sorted(float(each[f"rate_{scale}"]) for each in values) for scale in scales]
    assert all(RATE["min"] <= each[0] and each[-1] <= RATE["max"] for each in rates)
    log, linear, reverse_log = (each[20] for each in rates)
    assert log < 0.03 < linear < 0.08 < reverse_log
    sizes = {each[f"size_{scale}"] for each in values for scale in scales}
    assert sizes <= set(range(1, 9)) and {type(size) for size in sizes} == {int}


def test_optuna_s_warnings_are_not_shown(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        found = optuna_sampler.open_study(study_of(PARAMETERS), tmp_path / "study.db")
        trial = found.ask()
        for value in (0.5, 0.6, float("nan")):
            trial.report(value, 0)
        found.tell(trial, 0.5)
    assert [str(each.message) for each in shown] == []


@pytest.mark.parametrize(
    ("metric", "goal", "values", "by_chance"),
    [
        ("auc", "maximize", (0.921, 0.920), True),
        ("auc", "maximize", (0.95, 0.90), False),
        ("accuracy", "maximize", (0.905, 0.90), True),
        ("accuracy", "maximize", (0.95, 0.90), False),
        ("rmse", "minimize", (9.9, 10.0), True),
        ("rmse", "minimize", (9.0, 10.0), False),
        ("profit", "maximize", (1.001, 1.0), False),
        ("accuracy", "maximize", (90.5, 90.0), False),
        ("auc", "maximize", (0.92, 0.93), False),
    ],
)
def test_a_difference_within_one_standard_error_may_be_chance(
    metric: str, goal: str, values: tuple[float, float], by_chance: bool
) -> None:
    study = study_of(PARAMETERS, metric=metric, goal=goal)
    statistics = {"rows": {"train": 9000, "eval": 1000}, "label": {"counts": [6800, 2200]}}
    best = Outcome(3, "complete", values[0], {}, ())
    text = report.comparison(study, best, values[1], statistics)
    assert ("within one standard error" in text) == by_chance, text
    assert "within" not in report.comparison(study, best, values[1], {})


def test_measurements_are_read_as_the_service_does(tmp_path: Path) -> None:
    work = work_in(tmp_path, study_of(PARAMETERS))
    path = work.metric_file("1")
    assert work.measured("1") == [] and reported_names(path) == []
    path.parent.mkdir()
    records = [{"auc": "0.5", "trial": "1"}, {"loss": "2"}, {"auc": "0.75", "global_step": "9"}]
    path.write_text("\n".join([*map(json.dumps, records), '{"auc": "0.']))
    assert work.measured("1") == [0.5, 0.75]
    assert reported_names(path) == ["auc", "loss"]


def test_the_final_measurement_of_a_trial() -> None:
    assert counted([0.5, 0.9, 0.7], "best", "maximize") == 0.9
    assert counted([0.5, 0.9, 0.7], "best", "minimize") == 0.5
    assert counted([0.5, 0.9, 0.7], "last", "maximize") == 0.7
    assert counted([0.5, float("nan")], "best", "minimize") == 0.5
    assert counted([0.5, float("nan")], "last", "maximize") is None
    assert counted([], "best", "maximize") is None


def test_an_equal_study_resumes_and_another_starts_anew(tmp_path: Path) -> None:
    assert next_study(tmp_path, "a") == (tmp_path / "study-0001", False)
    assert next_study(tmp_path, "a") == (tmp_path / "study-0001", True)
    assert next_study(tmp_path, "b") == (tmp_path / "study-0002", False)


def test_parallel_trials_are_limited_by_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(search, "memory_mb", lambda: 64_000)
    assert [most_in_parallel(wanted) for wanted in (1, 3, 100)] == [1, 3, 4]
    monkeypatch.setattr(search, "memory_mb", lambda: 1_000)
    assert most_in_parallel(3) == 1
