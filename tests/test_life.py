"""The sessions of a baked project: prepare, train, resume, predict, submit, tune, its own lint and tests."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tests.bakery import bake
from tests.browser import look
from tests.doubles import google_cloud
from tests.doubles.executor import executor_runner
from tests.drill import WHOLE
from tests.sessions import (
    Change,
    changed,
    git,
    metrics_of,
    nox,
    planted,
    ran,
    session_command,
    settled,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of defaults that has trained for one epoch, in runs/0001."""
    project = bake(tmp_path_factory.mktemp("life"), {})
    ran(project, "local_train", "--epochs", "1")
    return project


@pytest.mark.minute
def test_the_smoke_test_passes(project: Path) -> None:
    assert "modules import; a step, the export and the reload work" in ran(project, "smoke")


@pytest.mark.minute
def test_a_killed_run_resumes_and_ends_as_an_uninterrupted_one(
    project: Path, tmp_path: Path
) -> None:
    fresh, length = settled(bake(tmp_path, {}), project), ("--epochs", "3")
    ran(fresh, "local_train", *length, "--job-dir", "runs/uninterrupted")
    kill_after_a_checkpoint(fresh, *length)
    said = ran(fresh, "local_train", *length)
    [step] = re.findall(r"resuming at step ([0-9,]+) of", said)
    assert int(step.replace(",", "")) > 0
    resumed, expected = metrics_of(fresh), metrics_of(fresh, "runs/uninterrupted")
    # The same bits, as both ran on this machine.
    assert all(resumed[key] == expected[key] for key in ("auc", "loss", "steps", "history"))
    check_that_it_repeats(fresh)


@pytest.mark.full
def test_two_clones_end_with_the_same_data_and_metrics(project: Path, tmp_path: Path) -> None:
    origin = bake(tmp_path, {})
    for command in (["init"], ["add", "."], ["commit", "-m", "Begin"]):
        git(origin, *command)
    clones = [tmp_path / "here", tmp_path / "some where" / "else"]
    for clone in clones:
        git(tmp_path, "clone", str(origin), str(clone))
        ran(settled(clone, project), "local_train", "--max-steps", "50")
    configs = [json.loads((each / "runs/0001/config.json").read_text("utf-8")) for each in clones]
    assert configs[0]["identity"]["data"] == configs[1]["identity"]["data"]
    one, other = map(metrics_of, clones)
    # The same bits, as both ran on this machine.
    assert all(one[key] == other[key] for key in ("auc", "loss", "steps", "history"))


@pytest.mark.full
def test_a_study_runs_the_code_of_its_start(project: Path, tmp_path: Path) -> None:
    lived_in = settled(bake(tmp_path, {}), project)
    ran(lived_in, "prepare")
    model = lived_in / "trainer" / "model.py"
    started, text = lived_in / "runs", model.read_text(encoding="utf-8")
    command = session_command(lived_in, "tune", "--local", "--trials", "6", "--max-steps", "300")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as study:
        while study.poll() is None and not any(started.rglob("config.json")):
            time.sleep(0.1)
        edits = 0
        while study.poll() is None:
            edits += 1
            model.write_text(f"{text}\nEDIT = {edits}\n", encoding="utf-8")
            ran(lived_in, "check")
        errors = study.communicate()[1]
    assert study.returncode == 0 and edits > 5, errors
    configs = [json.loads(path.read_text("utf-8")) for path in started.rglob("config.json")]
    assert len(configs) >= 6
    assert all(each["identity"]["code"] == configs[0]["identity"]["code"] for each in configs)


def check_that_it_repeats(project: Path) -> None:
    """Repeat runs/uninterrupted although the code and the arguments have changed since; not with other data."""
    (project / "trainer" / "model.py").write_text("raise ValueError\n", encoding="utf-8")
    again = ("--like", "runs/uninterrupted", "--job-dir", "runs/again")
    ran(project, "local_train", *again)
    repeated, expected = (
        metrics_of(project, "runs/again"),
        metrics_of(project, "runs/uninterrupted"),
    )
    assert all(repeated[key] == expected[key] for key in ("auc", "loss", "steps", "history"))
    shutil.move(project / "data" / "prepared", project / "data" / "moved")
    done = nox(project, "local_train", *again)
    assert done.returncode and "runs/uninterrupted was trained on the data" in done.stderr
    assert "data/prepared holds none; expected the same prepared data; " in done.stderr


def kill_after_a_checkpoint(project: Path, *length: str) -> None:
    """Train in runs/0001 and kill the whole session when it has saved a checkpoint, before it ends."""
    process = subprocess.Popen(
        session_command(project, "local_train", *length),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list(project.glob("runs/0001/checkpoints/*.checkpoint")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)
    assert not (project / "runs/0001/metrics.json").is_file()


@pytest.mark.minute
def test_predict_prints_a_prediction_for_each_raw_row(project: Path) -> None:
    done = nox(project, "predict")
    assert done.returncode == 0, done.stderr
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(predictions) == 10
    for each in predictions:
        assert 0 < each["probability"] < 1 and each["label"] in ("<=50K", ">50K")


@pytest.mark.minute
def test_a_run_is_evaluated_and_listed(project: Path) -> None:
    said = ran(project, "evaluate", "--run", "1", "--by", "sex,age", "--threshold", "f1")
    assert "threshold (model)  at 0.5: " in said and "threshold (f1)     at 0." in said
    assert "test table data/adult.test.gz" in said and "WARNING" not in said
    run = project / "runs" / "0001"
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    found = json.loads((run / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert found["rows"] == 16_281 and found["slices"].keys() == {"sex", "age"}
    for name, other in (("auc", "auc"), ("accuracy", "accuracy"), ("log_loss", "loss")):
        assert found["metrics"][name]["value"] == pytest.approx(metrics[other], abs=1e-3)
    assert found["metrics"]["auc"]["linear"] == metrics["linear_baseline"]["auc"]
    assert found["thresholds"]["model"] == pytest.approx(
        {name: each for name, each in metrics["threshold"].items() if name != "aim"}, rel=0.01
    )
    chosen = found["thresholds"]["f1"]["threshold"]
    assert chosen == pytest.approx(metrics["thresholds"]["f1"], abs=0.02)
    listed = json.loads(nox(project, "runs", "--json").stdout)
    assert (listed[0]["run"], listed[0]["test"]) == (1, metrics["auc"])
    assert nox(project, "evaluate", "--run", "99").returncode
    card = (run / "evaluation" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.count("Licence: Creative Commons Attribution 4.0") == 2 and "16,281 of the" in card


@pytest.mark.minute
def test_a_scheduler_distinguishes_drift_from_errors(project: Path, tmp_path: Path) -> None:
    done = nox(project, "monitor", "--input", "data/adult.test.gz", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["rows"], found["labels"], found["drifted"]) == (16_281, 16_281, [])
    auc = found["metrics"]["auc"]
    assert auc["value"] == pytest.approx(auc["run"], abs=1e-3) and auc["low"] < auc["high"]
    rows = (project / "data/prepared/examples.jsonl").read_text("utf-8").splitlines() * 30
    moved, other = [json.dumps({**json.loads(row), "age": 3_000}) for row in rows], "moved.jsonl"
    (tmp_path / other).write_text("\n".join(moved), encoding="utf-8")
    # Ten rows are no sample of the others, but not as far as that age.
    given = ("--input", str(tmp_path / other), "--threshold", "0.65", "--json")
    done = nox(project, "monitor", *given)
    assert done.returncode == 3 and json.loads(done.stdout)["drifted"] == ["age"]
    assert nox(project, "monitor", "--input", str(tmp_path / "none.csv")).returncode == 2


@pytest.mark.minute
@pytest.mark.parametrize(("width", "scheme"), [(1000, "light"), (1000, "dark"), (360, "light")])
def test_a_browser_shows_the_report(width: int, scheme: str, project: Path, tmp_path: Path) -> None:
    page = project / "runs/0001/evaluation/report.html"
    if not page.is_file():
        ran(project, "evaluate", "--run", "1", "--by", "sex,age")
    picture = tmp_path / "report.png"
    measured, said = look(page.read_text(encoding="utf-8"), width, scheme, picture)
    assert said == []
    # No sideways scrolling, nothing from elsewhere, and each reference has its target.
    assert measured["scroll_width"] == measured["width"] == width
    assert measured["links"] > 20 and measured["broken"] == []
    assert measured["dark"] == (scheme == "dark") and measured["height"] > 2_000
    brightness = imread(picture)[:, :width, :3].mean(axis=2)
    assert (np.median(brightness) > 0.9) == (scheme == "light")
    # Text and lines in each part, over the whole width.
    drawn = np.abs(brightness - np.median(brightness)) > 0.3
    assert all(part.mean() > 0.002 for part in np.array_split(drawn[: measured["height"]], 8))
    assert drawn[:, width // 2 :].any()


@pytest.mark.minute
def test_a_plan_measures_this_table_and_this_machine(project: Path) -> None:
    said = ran(project, "plan", "--quality", "fast")
    assert re.search(r"table +[0-9]+ kB, 32,561 rows; all of it prepared\n", said)
    assert re.search(
        r"training +quality fast: 2,300 steps in 20 epochs, batches of 256 rows\n", said
    )
    seconds = float(re.findall(r"here +[0-9]+ cores? .* ms +([0-9.]+) s ± [0-9]+%\n", said)[0])
    assert 1 < seconds < 200 and "STANDARD_1" in said
    assert "warning" not in said and not (project / ".nox/samples").exists()


@pytest.mark.full
def test_each_fold_is_tested_on(project: Path) -> None:
    said = ran(project, "crossval", "--folds", "2", "--quality", "fast", "--max-steps", "100")
    aucs = [float(each) for each in re.findall(r"fold [12] +test auc ([0-9.]+)\n", said)]
    result = json.loads((project / "runs/crossval-0001/crossval.json").read_text("utf-8"))
    assert result["values"] == pytest.approx(aucs, abs=1e-4) and min(aucs) > 0.85
    assert result["mean"] == pytest.approx(sum(aucs) / 2, abs=1e-4)
    rows = [
        json.loads((project / f"runs/crossval-0001/{fold}/data/statistics.json").read_text("utf-8"))
        for fold in (1, 2)
    ]
    # Each row of the train table is in the test split of one fold; the test table has no part.
    assert sum(each["rows"]["test"] for each in rows) == 32_561
    assert nox(project, "crossval", "--folds", "1").returncode


@pytest.mark.minute
def test_a_second_run_installs_and_prepares_nothing(project: Path) -> None:
    length = ("--max-steps", "5", "--job-dir")
    ran(project, "local_train", *length, "runs/first")
    said = ran(project, "local_train", *length, "runs/second")
    assert "is current" in said
    assert "install " not in said and "uv pip" not in said


@pytest.mark.minute
def test_the_same_job_ends_alike_here_and_in_the_cloud(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = project / "job.toml"
    mine = job.read_text(encoding="utf-8").replace("your-project-id", "some-project-1")
    length = ("--max-steps", "50")
    with changed(job, mine), cloud_of(project, tmp_path, monkeypatch):
        ran(project, "local_train", *length, "--job-dir", "runs/here")
        ran(project, "bucket")
        ran(project, "prepare", "--upload")
        ran(project, "check", "--cloud")
        done = nox(project, "submit", *length, "--wait", "--poll-seconds", "1")
    assert done.returncode == 0, done.stderr
    here, there = metrics_of(project, "runs/here"), json.loads(done.stdout)
    # The same bits, as the double of the cloud runs the same package on this machine.
    assert all(there[key] == here[key] for key in ("auc", "loss", "steps", "history"))
    assert list(tmp_path.glob("*/census-income/jobs/*/model/saved_model.pb"))


@contextmanager
def cloud_of(project: Path, root: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve a cloud that runs jobs in the project's environment, and direct the launcher to it."""
    with google_cloud(root, executor_runner(project, root, sys.executable)) as cloud:
        for name, value in cloud.variables.items():
            patch.setenv(name, value)
        yield


GRID = """
[study]
metric = "auc"
goal = "maximize"
algorithm = "grid"
trials = 4
parallel_trials = 2
[study.parameters.learning_rate]
type = "discrete"
values = [0.0001, 0.005]
[study.parameters.hidden_units]
type = "categorical"
values = ["16", "64,32"]
"""


@pytest.mark.full
@pytest.mark.skipif(not WHOLE, reason="test_tune.py shows its parts; all of it takes minutes")
def test_the_same_study_ends_alike_here_and_in_the_cloud(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = project / "job.toml"
    mine = job.read_text(encoding="utf-8").replace("your-project-id", "some-project-1")
    head, tiers, tail = mine.partition("[tiers.")
    grid = head.partition("[study]")[0] + GRID + tiers + tail
    with changed(job, grid), cloud_of(project, tmp_path, monkeypatch):
        ran(project, "tune", "--local", "--max-steps", "100")
        ran(project, "bucket")
        ran(project, "prepare", "--upload")
        ran(project, "tune", "--max-steps", "100", "--wait", "--poll-seconds", "1")
    here, there = (
        json.loads((project / "runs" / f"study-000{n}" / "study.json").read_text("utf-8"))
        for n in (1, 2)
    )
    values = [{each["trial"]: each["value"] for each in study["trials"]} for study in (here, there)]
    assert values[0] == values[1] and len(values[0]) == 4
    assert here["best"] == there["best"] and here["defaults"] > 0.8
    assert "learning_rate = 0.005" in (project / "runs/study-0001/best.toml").read_text("utf-8")
    ran(project, "local_train", "--trial", "best", "--max-steps", "100", "--job-dir", "runs/best")
    assert metrics_of(project, "runs/best")["steps"] == 100


@pytest.mark.full
def test_five_replicas_reach_the_auc_of_one(project: Path) -> None:
    length = ("--max-steps", "200")
    said = ran(project, "local_train", *length, "--scale-tier", "STANDARD_1", "--job-dir", "runs/5")
    ran(project, "local_train", *length, "--job-dir", "runs/1")
    assert "5 processes share this machine" in said
    alone, together = (metrics_of(project, run)["auc"] for run in ("runs/1", "runs/5"))
    assert together == pytest.approx(alone, abs=0.005)


# What test_checks.py plants for `check` stops a run too.
MISTAKES = [
    (
        "trainer/training/layers.py",
        lambda text: "def broken(:\n" + text,
        "trainer/training/layers.py, line 1",
    ),
    (
        "trainer/features.py",
        lambda text: "\n".join(line for line in text.splitlines() if '"age": ' not in line) + "\n",
        "has a column 'age' that trainer/features.py does not name",
    ),
    (
        "trainer/features.py",
        lambda text: text.replace('"numeric"', '"numerik"', 1),
        "write 'numeric'",
    ),
    ("job.toml", lambda text: text.replace("eval_share", "eval_shar"), "write eval_share"),
]


@pytest.mark.minute
@pytest.mark.parametrize(
    ("name", "change", "part"), MISTAKES, ids=[part for _, _, part in MISTAKES]
)
def test_mistakes_are_reported_in_one_line(
    project: Path, name: str, change: Change, part: str
) -> None:
    with planted(project, name, change):
        done = nox(project, "local_train", "--max-steps", "1", "--job-dir", "runs/mistake")
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    reported = [line for line in said.splitlines() if "error: " in line]
    assert len(reported) == 1 and part in reported[0], said


@pytest.mark.minute
def test_a_typo_in_the_data_is_counted_and_kept(project: Path, tmp_path: Path) -> None:
    import gzip

    text = gzip.decompress((project / "data" / "adult.data.gz").read_bytes()).decode()
    table = tmp_path / "typo.csv"
    table.write_text(text.replace("39, State-gov", "3g, State-gov", 1), encoding="utf-8")
    job = project / "job.toml"
    with changed(job, job.read_text(encoding="utf-8").replace("data/adult.data.gz", str(table))):
        said = ran(project, "prepare")
    assert "1 of 32,561 rows cannot be used" in said
    assert "3g is not a finite number" in (project / "data/prepared/rejects.csv").read_text(
        encoding="utf-8"
    )
