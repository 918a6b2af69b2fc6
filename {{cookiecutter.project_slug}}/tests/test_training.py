"""Training: the real loop on made-up rows, stopped, resumed and compared."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer import task
from trainer.data.schema import Schema
from trainer.training import checkpoint
from trainer.training.checkpoint import State
from trainer.training.metrics import MAIN_METRIC
from trainer.training.monitor import RunMonitor


def run_task(prepared: Path, job_dir: Path, *options: str) -> int:
    """Run the entry point for two short epochs."""
    arguments = ["--data-dir", str(prepared), "--job-dir", str(job_dir), "--epochs", "2", "-q"]
    return task.main([*arguments, "--quality", "fast", "--hidden-units", "8", *options])


def test_a_run_leaves_model_checkpoints_logs_metrics_and_config(
    prepared: Path, schema: Schema, tmp_path: Path
) -> None:
    assert run_task(prepared, tmp_path / "job") == 0
    names = {path.name for path in (tmp_path / "job").iterdir()}
    assert names == {"model", "checkpoints", "logs", "metrics.json", "config.json"}
    metrics = json.loads((tmp_path / "job" / "metrics.json").read_text(encoding="utf-8"))
    assert {MAIN_METRIC[schema.task], "loss", "steps", "rows_per_second", "wall_seconds"} <= set(
        metrics
    )


def arrays(job_dir: Path) -> list[Any]:
    """Return the weights and the optimizer's state at the end of a run."""
    found = checkpoint.newest(job_dir / "checkpoints", pytest.fail)
    assert found
    return found[0]


def test_a_run_that_was_stopped_ends_with_the_same_weights(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.loop.FIRST_CALL_STEPS", 1)
    monkeypatch.setattr("trainer.training.loop.MOST_CALL_STEPS", 1)
    assert run_task(prepared, tmp_path / "complete") == 0
    after_steps, steps = RunMonitor.after_steps, []

    def stop_after_five(monitor: RunMonitor, state: State, *others: Any) -> None:
        steps.append(state.step)
        if len(steps) == 5:
            monitor.ask_to_stop(signal.SIGTERM, None)
        after_steps(monitor, state, *others)

    monkeypatch.setattr(RunMonitor, "after_steps", stop_after_five)
    with pytest.raises(SystemExit, match="143"):
        run_task(prepared, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "metrics.json").exists()
    assert run_task(prepared, tmp_path / "stopped") == 0
    assert steps == list(range(1, len(steps) + 1))
    pairs = zip(arrays(tmp_path / "complete"), arrays(tmp_path / "stopped"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
