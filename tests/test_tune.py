"""`nox -s tune` against the doubles: a study is submitted once, followed trial by trial, and its best arguments are used."""

import json
import math
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import faults
from tests.doubles.server import Json
from tests.submitting import World

pytestmark = pytest.mark.minute

TRIALS = ("--trials", "8")
TIMESTAMP = re.compile(r'"timestamp": [0-9.]+, ')


def flags_of(job: Json) -> dict[str, str]:
    """Return the flags of a trial; of one that is given twice, the last."""
    words = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
    return dict(zip(words[::2], words[1::2], strict=True))


def variables_of(job: Json) -> Mapping[str, str]:
    program = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    return {each["name"]: each["value"] for each in program["env"]}


def quality(flags: Mapping[str, str]) -> float:
    """Return a metric that is best at a learning rate of 0.005 and no dropout."""
    return (
        0.9
        - abs(math.log10(float(flags["--learning-rate"]) / 0.005))
        - float(flags["--dropout"]) / 5
    )


class Trainer:
    """Runs trials: reports a metric computed from the flags, and records them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.code = 0
        self.pause_seconds = 0.0
        self.metric = "auc"

    def __call__(self, job: Json, log: Callable[[str], None], stop: threading.Event) -> int:
        variables, flags = variables_of(job), flags_of(job)
        trial = variables["CLOUD_ML_TRIAL_ID"]
        assert job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].endswith(f"/{trial}")
        self.seen.append((trial, flags))
        path = Path(variables["CLOUD_ML_HP_METRIC_FILE"])
        for step in range(3):
            record = {self.metric: str(quality(flags) * (step + 1) / 3), "global_step": str(step)}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**record, "trial": trial}) + "\n")
            if stop.wait(self.pause_seconds):
                return 143
        return self.code


@pytest.fixture
def trainer(ready: World) -> Trainer:
    """The program of the double's trials."""
    trainer = Trainer()
    ready.cloud.jobs.tuning.runner = trainer
    return trainer


def tuning_jobs(world: World) -> list[Json]:
    """Return all tuning jobs that were accepted."""
    return [job.resource for job in world.cloud.jobs.tuning.jobs.values()]


def study_of(world: World) -> dict[str, Any]:
    """Return what was written of the newest study."""
    path = max((world.project / "runs").glob("study-*/study.json"))
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_a_study_is_submitted_and_its_best_arguments_are_used(
    ready: World, trainer: Trainer
) -> None:
    done = ready.run("tune", "--wait", *TRIALS)
    [job] = tuning_jobs(ready)
    assert job["state"] == "JOB_STATE_SUCCEEDED" and len(job["trials"]) == 8
    assert sorted(trial for trial, _ in trainer.seen) == sorted(str(n) for n in range(1, 9))
    study = study_of(ready)
    best = max(study["trials"], key=lambda each: each["value"])
    assert study["best"] == best["trial"]
    assert best["value"] == pytest.approx(max(quality(flags) for _, flags in trainer.seen))
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["trial", "state", "auc", "learning_rate", "dropout", "hidden_units"] in rows
    assert done.stderr.count(" complete, auc ") == 8
    shown = ready.run("submit", "--dry-run", "--trial", "best").stdout
    flags = flags_of(json.loads(shown))
    assert float(flags["--learning-rate"]) == best["values"]["learning_rate"]
    assert flags["--hidden-units"] == best["values"]["hidden_units"]


def test_a_dry_run_prints_what_is_submitted(ready: World, trainer: Trainer) -> None:
    shown = json.loads(ready.run("tune", "--dry-run", *TRIALS).stdout)
    ready.run("tune", *TRIALS)
    [sent] = tuning_jobs(ready)
    for field in ("maxTrialCount", "parallelTrialCount", "maxFailedTrialCount", "displayName"):
        assert sent[field] == shown[field]
    assert sent["trialJobSpec"]["workerPoolSpecs"] == shown["trialJobSpec"]["workerPoolSpecs"]
    names = [each["parameterId"] for each in sent["studySpec"]["parameters"]]
    assert names == ["learning-rate", "dropout", "hidden-units"]


def test_a_lost_response_creates_no_second_study(ready: World, trainer: Trainer) -> None:
    ready.cloud.faults.plan("POST", "/hyperparameterTuningJobs", faults.ANSWER_LOST, 1)
    ready.run("tune", "--wait", *TRIALS)
    assert len(tuning_jobs(ready)) == 1


def test_a_study_whose_trials_fail_is_reported(ready: World, trainer: Trainer) -> None:
    trainer.code = 1
    done = ready.run("tune", "--wait", *TRIALS, code=1)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "failed: Too many trials failed;" in line
    assert done.stderr.count(" failed  ") >= 4


def test_trials_below_the_median_are_stopped_and_still_count(
    ready: World, trainer: Trainer
) -> None:
    trainer.pause_seconds = 0.3
    ready.run("tune", "--wait", "--trials", "12", "--parallel", "6")
    trials = tuning_jobs(ready)[0]["trials"]
    assert min(len(each["measurements"]) for each in trials) < 3
    assert {each["state"] for each in trials} == {"SUCCEEDED"}


def test_a_study_is_listed_and_cancelled(ready: World, trainer: Trainer) -> None:
    trainer.pause_seconds = 60.0
    ready.run("tune", *TRIALS)
    assert "RUNNING" in ready.run("tune", "--list").stdout
    assert "is being cancelled" in ready.run("tune", "--cancel").stderr
    done = ready.run("tune", "--wait", *TRIALS, code=1)
    assert "cancelled" in done.stderr and len(tuning_jobs(ready)) == 1


def test_tpus_are_refused_before_anything_is_sent(ready: World, trainer: Trainer) -> None:
    done = ready.run("tune", "--scale-tier", "BASIC_TPU", "--region", "us-west4", code=2)
    assert "hyperparameter tuning does not run on TPUs" in done.stderr
    assert tuning_jobs(ready) == []


def test_parallel_trials_are_at_most_the_number_of_trials(ready: World, trainer: Trainer) -> None:
    ready.run("tune", "--wait", "--trials", "1")
    assert [job["parallelTrialCount"] for job in tuning_jobs(ready)] == [1]


@pytest.mark.parametrize("option", ["--wait", "--again", "--dry-run"])
def test_options_of_the_cloud_are_refused_beside_local(option: str, ready: World) -> None:
    done = ready.run("tune", "--local", option, code=2)
    assert f"{option} beside --local" in done.stderr
    assert not list((ready.project / "runs").glob("study-*"))


RECORDS = """
import os, sys
from pathlib import Path
from trainer.run.outputs import report_to_tuning
import hypertune

theirs, ours = sys.argv[1:]
os.environ |= {"CLOUD_ML_TRIAL_ID": "3", "CLOUD_ML_HP_METRIC_FILE": theirs}
reporter = hypertune.HyperTune()
for step in range(103):
    reporter.report_hyperparameter_tuning_metric("auc", 0.5 + step / 1000, step * 10)
    report_to_tuning("auc", 0.5 + step / 1000, step * 10, {**os.environ, "CLOUD_ML_HP_METRIC_FILE": ours})
"""


def test_the_trainer_reports_as_cloudml_hypertune_does(
    baked: dict[str, Path], tmp_path: Path
) -> None:
    theirs, ours = tmp_path / "a" / "theirs", tmp_path / "b" / "ours"
    command = [sys.executable, "-c", RECORDS, str(theirs), str(ours)]
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=baked["defaults"], env=variables, check=True)
    both = [TIMESTAMP.sub("", path.read_text(encoding="utf-8")) for path in (theirs, ours)]
    assert both[0] == both[1] and both[1].count("\n") == 100
