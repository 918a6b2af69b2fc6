"""Locks: one process at a time, whatever becomes of it."""

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from trainer.run.locks import held

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no locks there")
SPAWN = multiprocessing.get_context("spawn")


def refuse() -> None:
    """Not wait."""
    raise BlockingIOError


def hold(folder: Path, holding: Event, let_go: Event, rename: bool) -> None:
    """Hold a folder until told otherwise; then put it elsewhere, if asked to."""
    with held(folder, refuse):
        holding.set()
        let_go.wait(20)
        if rename:
            folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("end", ["lets go", "is killed"])
def test_a_folder_is_held_as_long_as_its_process_lives(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "folder"
    holding, let_go = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(folder, holding, let_go, False))
    process.start()
    assert holding.wait(20)
    with pytest.raises(BlockingIOError), held(folder, refuse):
        raise AssertionError("two hold it")
    if end == "is killed":
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
    else:
        let_go.set()
    process.join(20)
    with held(folder, refuse):
        pass


def test_who_waits_holds_the_folder_that_is_there_then(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    holding, let_go = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(folder, holding, let_go, True))
    process.start()
    assert holding.wait(20)
    with held(folder, let_go.set):
        assert folder.is_dir() and (tmp_path / "elsewhere").is_dir()
    process.join(20)
