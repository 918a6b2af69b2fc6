"""Checkpoints: how often they are saved, and those that cannot be read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trainer.run.errors import UserError
from trainer.training import checkpoint
from trainer.training.monitor import save_interval


@pytest.mark.parametrize(("cost", "interval"), [(0.01, 10.0), (1.0, 50.0), (60.0, 600.0)])
def test_a_slow_disk_gets_fewer_checkpoints(cost: float, interval: float) -> None:
    assert save_interval(cost) == pytest.approx(interval)


def test_a_checkpoint_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    warnings: list[str] = []
    checkpoint.save(tmp_path, 1, [np.ones(3)], {"step": 1})
    (tmp_path / "step-0000000002.checkpoint").mkdir()  # reading it raises an OSError
    found = checkpoint.newest(tmp_path, warnings.append)
    assert found is not None and found[1] == {"step": 1} and len(warnings) == 1


def test_checkpoints_that_are_all_corrupted_are_an_error(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, [np.ones(3)], {"step": 1}).write_bytes(b"cut short")
    with pytest.raises(UserError, match="none of the 1 checkpoints in .* can be read; expected"):
        checkpoint.newest(tmp_path, lambda _: None)


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda content: content[:-9],
        lambda content: content[:9] + b"x" + content[10:],
        lambda _: b"",
    ],
)
def test_a_corrupted_checkpoint_is_skipped(
    tmp_path: Path, corrupt: Callable[[bytes], bytes]
) -> None:
    warnings: list[str] = []
    for step in (1, 2, 3):
        newest = checkpoint.save(tmp_path, step, [np.full(3, step)], {"step": step})
    newest.write_bytes(corrupt(newest.read_bytes()))
    found = checkpoint.newest(tmp_path, warnings.append)
    assert found is not None and found[1] == {"step": 2} and found[0][0].tolist() == [2, 2, 2]
    assert len(warnings) == 1 and "corrupted" in warnings[0]
