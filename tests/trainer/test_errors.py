"""An error of the user's code is one line and a traceback of their frames."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from trainer import features, task
from trainer.model import Model
from trainer.run.errors import EXIT_FAILED, exit_code, exit_reported


def test_an_error_of_the_users_code_names_their_line(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def losses(model: Model, outputs: Any, labels: Any) -> Any:
        return model.member_losses(outputs, None)

    monkeypatch.setattr(Model, "losses", losses)
    flags = ["--data-dir", str(prepared), "--job-dir", str(tmp_path), "--max-steps", "1", "-q"]
    assert exit_code(task.main, flags) == EXIT_FAILED
    first, *others = capsys.readouterr().err.splitlines()
    place = "number_losses" if features.TASK == "regression" else "member_losses"
    assert first.startswith("error: trainer/model.py, line ") and f", in {place}: " in first
    assert any("self.label" in line or "labels" in line for line in others)
    framed = [line for line in others if line.startswith("  File ")]
    assert framed and all('"trainer/model.py"' in line for line in framed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_of_a_stopped_run_is_no_error(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: object) -> int:
        with exit_reported():
            sys.exit(128 + number)

    with pytest.raises(SystemExit, match=str(128 + number)):
        exit_code(stop, [])
    assert capsys.readouterr().err == ""
