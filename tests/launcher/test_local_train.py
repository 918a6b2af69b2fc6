"""`nox -s local_train`: what starts before the check has passed, and what keeps it from starting."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from launcher import runs
from launcher.commands import local_train
from launcher.commands.options import Options
from launcher.commands.session import Session
from launcher.console import Console, Refused, UserError
from launcher.executors.local.executor import waiting_replica
from launcher.project import Project
from launcher.subprocesses import Process

from tests.launcher.samples import job_of, record_of, write_files

FINDING = UserError("this is wrong", "that", "correct it")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session whose requirements were installed before, in the environment of this interpreter."""
    write_files(tmp_path, {"trainer/model.py": 'os.environ["TF_CONFIG"]\n'})
    monkeypatch.setattr(local_train, "newest", lambda _: Path(sys.executable))
    made = Session(Project(tmp_path), Options(), [], Console())
    monkeypatch.setitem(vars(made), "job", job_of())
    return made


def test_a_check_that_fails_ends_what_waits_and_leaves_no_run(
    session: Session, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    waited = list[Process]()

    @contextmanager
    def noted(*given: Any) -> Iterator[Process]:
        with waiting_replica(*given) as waiting:
            waited.append(waiting)
            yield waiting

    def refuse(_: Session) -> None:
        assert waited[0].code is None
        raise Refused([FINDING])

    monkeypatch.setattr(local_train, "waiting_replica", noted)
    monkeypatch.setattr(Session, "check", refuse)
    with pytest.raises(Refused):
        local_train.local_train(session)
    assert waited[0].code and not session.project.runs.exists()
    assert capfd.readouterr() == ("", "")


def with_variable(session: Session) -> Session:
    path = session.project.folder / "trainer" / "model.py"
    path.write_text("import os\nos.environ['KERAS_BACKEND'] = 'jax'\n", encoding="utf-8")
    return session


def of_tier(session: Session, name: str) -> Session:
    vars(session)["job"] = job_of({"scale_tier": name})
    return session


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        (lambda session: session, True),
        (with_variable, False),
        (lambda session: of_tier(session, "STANDARD_1"), False),
        (lambda session: of_tier(session, "UNKNOWN"), False),
        (lambda session: dataclasses.replace(session, options=Options(preempt=1.0)), False),
    ],
)
def test_only_a_job_of_one_replica_without_variables_of_its_own_starts_early(
    session: Session, change: Callable[[Session], Session], waits: bool
) -> None:
    job, changed = session.job, change(session)
    vars(changed).setdefault("job", job)
    with local_train.starting(changed) as waiting:
        assert bool(waiting) == waits


@pytest.mark.parametrize("code", [0, 1])
def test_a_named_folder_is_named_again_to_predict(
    code: int, session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("stored", "install", "python_of"):
        monkeypatch.setattr(local_train, name, lambda *_: Path(sys.executable))
    monkeypatch.setattr(runs, "versions_of", lambda _: {})
    monkeypatch.setattr(local_train, "mounted", nullcontext)
    monkeypatch.setattr(local_train, "run_custom_job", lambda *_: code)
    monkeypatch.setattr(Project, "training", Mock())
    named = dataclasses.replace(session, options=Options(job_dir="my run"))
    assert local_train.run_record(named, record_of(session.project.folder)) == code
    line = "predict  nox -s predict -- --model 'my run/model' (else: the newest run)"
    assert (line in capsys.readouterr().err) == (code == 0)
