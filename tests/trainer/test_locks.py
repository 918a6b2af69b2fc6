"""Locks: one process at a time, however it ends."""

import errno
import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from trainer.run.errors import UserError
from trainer.run.locks import held

SPAWN = multiprocessing.get_context("spawn")


def refuse() -> None:
    raise UserError("the lock is held", "nobody else", "wait")


def hold(lock: Path, holding: Event, let_go: Event) -> None:
    """Hold a lock until `let_go`."""
    with held(lock, refuse):
        holding.set()
        let_go.wait(20)


@pytest.mark.parametrize("end", ["lets go", "is killed"])
def test_a_lock_is_held_while_its_process_runs(tmp_path: Path, end: str) -> None:
    lock = tmp_path / "lock"
    holding, let_go = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(lock, holding, let_go))
    process.start()
    assert holding.wait(20)
    with pytest.raises(UserError, match="is held"), held(lock, refuse):
        raise AssertionError("two processes hold it")
    if end == "is killed":
        assert process.pid
        os.kill(process.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    else:
        let_go.set()
    process.join(20)
    with held(lock, refuse):
        pass
    assert not list(tmp_path.iterdir())


def test_a_process_that_waits_holds_the_lock_next(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holding, let_go = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(lock, holding, let_go))
    process.start()
    assert holding.wait(20)
    with held(lock, let_go.set):
        process.join(20)
        with pytest.raises(UserError), held(lock, refuse):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with held(tmp_path / "lock", refuse), held(tmp_path / "lock", refuse):
        pass
    assert not list(tmp_path.iterdir())
