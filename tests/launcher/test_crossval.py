"""`nox -s crossval`: one run for each fold, and a result only when all have ended."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from launcher import commands
from launcher.__main__ import main
from launcher.commands import crossval
from launcher.commands.session import Session

from tests.launcher.samples import JOB, write_files


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_files(tmp_path, {"job.toml": JOB}))
    monkeypatch.setattr(Session, "check", lambda _: [])
    return tmp_path


def folds_of(codes: list[int]) -> Any:
    def run_fold(session: Session, number: int, folder: Path) -> int:
        metrics = {"metric": "auc", "auc": 0.5 + number / 10, "loss": 1.0}
        write_files(folder, {"metrics.json": json.dumps(metrics)})
        return codes[number - 1]

    return run_fold


def test_the_spread_over_folds_is_reported(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crossval, "run_fold", folds_of([0, 0, 0]))
    assert main(["crossval", "--folds", "3"]) == 0
    result = json.loads((project / "runs/crossval-0001/crossval.json").read_text())
    assert result == {
        "metric": "auc",
        "values": pytest.approx([0.6, 0.7, 0.8]),
        "mean": pytest.approx(0.7),
        "deviation": pytest.approx(0.1),
    }
    printed = capsys.readouterr().err
    assert "fold 2   test auc 0.7000\n" in printed
    assert "test auc 0.7000 ± 0.1000, the standard deviation over 3 folds\n" in printed


def test_a_folder_that_cannot_be_written_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *_: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    assert main(["crossval", "--folds", "3"]) == 2
    message = "runs/crossval-0001 cannot be read or written (No space left on device); expected"
    assert message in capsys.readouterr().err


def test_a_fold_that_fails_ends_all_without_a_result(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossval, "run_fold", folds_of([0, 2, 0]))
    assert main(["crossval", "--folds", "3"]) == 2
    folder = project / "runs/crossval-0001"
    assert not (folder / "crossval.json").exists() and not (folder / "3").exists()


def test_an_edit_between_folds_reaches_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages, used = iter(["as checked", "edited"]), list[tuple[str, str]]()

    def run_record(session: Session, package: str) -> int:
        used.append((package, session.job.cloud.name))
        (project / "job.toml").write_text(JOB.replace("[job]", '[job]\nname = "edited"'))
        metrics = {"metric": "auc", "auc": 0.5}
        write_files(Path(session.options.job_dir or ""), {"metrics.json": json.dumps(metrics)})
        return 0

    monkeypatch.setattr(commands.session, "build_source_distribution", lambda *_: next(packages))
    monkeypatch.setattr(crossval, "run_prepare", lambda *_: 0)
    monkeypatch.setattr(crossval, "new_record", lambda session: session.package)
    monkeypatch.setattr(crossval, "run_record", run_record)
    assert main(["crossval", "--folds", "2"]) == 0
    assert used == [("as checked", "training")] * 2


@pytest.mark.parametrize("count", ["1", "0", "-3", "101"])
def test_a_number_of_folds_that_makes_no_sense_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], count: str
) -> None:
    assert main(["crossval", "--folds", count]) == 2
    assert f"--folds is {count}; expected an integer from 2 to 100;" in capsys.readouterr().err
    assert not (project / "runs").exists()


@pytest.mark.parametrize("metrics", [{"metric": "auc", "loss": 1.0}, {"loss": 1.0}, {}])
def test_a_fold_without_its_metric_gets_one_line(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    metrics: dict[str, Any],
) -> None:
    def run_fold(session: Session, number: int, folder: Path) -> int:
        write_files(folder, {"metrics.json": json.dumps(metrics)})
        return 0

    monkeypatch.setattr(crossval, "run_fold", run_fold)
    assert main(["crossval", "--folds", "3"]) == 2
    printed = capsys.readouterr().err
    assert "error: fold 1 of 3 has no metric" in printed and "take fewer --folds" in printed
    assert not (project / "runs/crossval-0001/crossval.json").exists()
