"""What a run was: what is recorded of it, and that only an equal one is resumed."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from launcher import runs
from launcher.commands.local_train import job_folder
from launcher.console import UserError
from launcher.project import Project, git_revision
from launcher.runs import flags_of, new_folder, newest_model, stopped_run

from tests.launcher.samples import FILES, QUIET, record_of, write_files


def started(folder: Path, *flags: str) -> Path:
    """Return the folder of a run that was stopped after its first checkpoint."""
    job_dir = new_folder(folder / "runs")
    runs.write(record_of(folder, *flags), job_dir, {"python": "3"})
    settings = {"dropout": 0.1, "seed": 1, "hidden_units": [64, 32], "epochs": 9}
    write_files(job_dir, {"config.json": json.dumps({"settings": settings}), "checkpoints/1": ""})
    return job_dir


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    job_dir = started(tmp_path, "--dropout", "0.1")
    found, written = runs.read(job_dir), record_of(tmp_path, "--dropout", "0.1")
    assert found and (found.custom_job, found.data_id) == (written.custom_job, "data-1")
    assert found.package.read_bytes() == written.package.read_bytes()
    assert runs.changed_versions(found.versions, {"python": "4"}) == "python 3 (now 4)"
    document = json.loads((job_dir / "record/run.json").read_text())
    assert document["uncommitted"] == ["M trainer/model.py"]
    assert {"job.toml", "features.py"} < {path.name for path in (job_dir / "record").iterdir()}


def test_half_a_record_is_none(tmp_path: Path) -> None:
    job_dir = started(tmp_path)
    (job_dir / "record/x-1.tar.gz").unlink()
    assert runs.read(job_dir) is None
    (job_dir / "record/run.json").write_text('{"job": {}}')
    assert runs.read(job_dir) is None


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("--dropout 0.1", "--dropout=0.10"),
        ("", "--dropout 0.1 --hidden-units 64,32"),
        ("--epochs 3", "--epochs 9 --max-steps 100"),
        ("--seed 1 --seed 2", "--seed 2 -q"),
    ],
)
def test_an_equal_run_is_resumed(tmp_path: Path, before: str, now: str) -> None:
    job_dir = started(tmp_path, *before.split())
    record = record_of(tmp_path, *now.split())
    assert job_folder(Project(tmp_path), None, record, QUIET) == job_dir


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ("--dropout 0.1", "--dropout 0.2", "--dropout changed from 0.1 to 0.2"),
        ("", "--dropout 0.2", "--dropout changed from 0.1 to 0.2"),
        ("--seed 3", "", "--seed 3 is no longer given"),
        ("", "--ensemble 4", "--ensemble changed from its default to 4"),
    ],
)
def test_another_run_gets_the_next_number(
    tmp_path: Path, before: str, now: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started(tmp_path, *before.split())
    record = record_of(tmp_path, *now.split())
    shown = dataclasses.replace(QUIET, quiet=False)
    assert job_folder(Project(tmp_path), None, record, shown) == tmp_path / "runs" / "0002"
    line = f"runs/0001 was stopped, but {message}: this is runs/0002"
    assert line in capsys.readouterr().err
    with pytest.raises(UserError, match=f"runs/0001 holds another run: {message}; expected"):
        job_folder(Project(tmp_path), "runs/0001", record, QUIET)
    write_files(tmp_path, {"trainer/model.py": ""})
    for name in ("trainer", "trainer/model.py"):
        with pytest.raises(UserError, match=f"{name} .*; expected .*; name another --job-dir"):
            job_folder(Project(tmp_path), name, record, QUIET)


def test_other_code_or_data_is_another_run(tmp_path: Path) -> None:
    job_dir = started(tmp_path)
    model = record_of(tmp_path, files={**FILES, "trainer/model.py": "UNITS = 2"})
    assert runs.differences(model, job_dir) == ["trainer/model.py changed"]
    more = {f"trainer/{name}.py": "" for name in "abcde"}
    assert runs.differences(record_of(tmp_path, files={**FILES, **more}), job_dir) == [
        "trainer/a.py, trainer/b.py, trainer/c.py and 2 more files changed"
    ]
    data = record_of(tmp_path, data="data-2")
    assert runs.differences(data, job_dir) == ["the prepared data changed"]


def test_a_folder_of_an_unknown_run_gets_no_record(tmp_path: Path) -> None:
    write_files(tmp_path, {"mine/config.json": "{}"})
    runs.write(record_of(tmp_path), tmp_path / "mine", {})
    assert runs.read(tmp_path / "mine") is None


def test_a_tree_that_git_cannot_read_is_not_a_clean_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert runs.uncommitted(project) is None and git_revision(project) == ""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    commit = ["git", *author, "commit", "--quiet", "--allow-empty", "--message", "first"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    monkeypatch.setenv("GIT_TRACE", "1")  # it writes to standard error, as warnings of git do
    assert runs.uncommitted(project) == [] and len(git_revision(project)) == 40
    write_files(tmp_path, {"new.py": ""})
    assert runs.uncommitted(project) == ["?? new.py"]
    monkeypatch.setenv("PATH", "")
    assert runs.uncommitted(project) is None


def test_flags_are_read_as_the_trainer_reads_them() -> None:
    words = ["--a", "1", "--b=2", "-q", "--c", "--a", "-3"]
    assert flags_of(words) == {"a": "-3", "b": "2", "c": ""}
    assert flags_of(["--a", "-q"]) == {"a": ""}


def test_runs_count_up_and_only_the_newest_may_have_stopped(tmp_path: Path) -> None:
    assert stopped_run(tmp_path) is None and new_folder(tmp_path).name == "0001"
    write_files(
        tmp_path,
        {"0008/config.json": "", "0009/metrics.json": "{}", "study-0001/x": "", "12/x": ""},
    )
    assert stopped_run(tmp_path) is None and new_folder(tmp_path).name == "0010"
    write_files(tmp_path, {"0010/config.json": "{}"})
    assert stopped_run(tmp_path) == tmp_path / "0010"


def test_two_runs_that_start_together_get_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record_of(tmp_path, "--seed", seed) for seed in "12"]
    # Both look for the newest folder before either has made its own.
    monkeypatch.setattr(runs, "numbered", lambda *_: {})
    folders = [job_folder(Project(tmp_path), None, record, QUIET) for record in records]
    monkeypatch.undo()
    assert [folder.name for folder in folders] == ["0001", "0002"]
    # The folder of a run that has not written its record yet is not that of a stopped one.
    assert job_folder(Project(tmp_path), None, records[0], QUIET).name == "0003"


def test_the_newest_model_is_that_of_the_run_that_finished_last(tmp_path: Path) -> None:
    write_files(tmp_path, {"0003/model/saved_model.pb": "", "0002/metrics.json": "{}"})
    with pytest.raises(UserError, match="no run in .* has finished with a model; expected"):
        newest_model(tmp_path)
    write_files(tmp_path, {"0001/model/saved_model.pb": "", "0001/metrics.json": "{}"})
    assert newest_model(tmp_path) == tmp_path / "0001" / "model"
