"""What a run and its checkpoints are of: other data and other code are refused, other versions are a warning."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from trainer import task
from trainer.run.errors import UserError
from trainer.run.resume import PACKAGE, check_identity, code_digests, identity_of


def run_task(prepared: Path, job_dir: Path, *options: str) -> int:
    arguments = ["--data-dir", str(prepared), "--job-dir", str(job_dir), "-q", *options]
    return task.main([*arguments, "--quality", "fast", "--hidden-units", "8"])


def edited(change: dict[str, Any]) -> dict[str, Any]:
    """Return the identity of this package with some parts replaced."""
    return {**identity_of("data"), **change}


@pytest.mark.parametrize(
    ("earlier", "message"),
    [
        ({}, "was not written by a run of this version"),
        (edited({"data": "other"}), "holds a run on other data; expected the prepared data"),
        (
            edited({"code": {**identity_of("data")["code"], "trainer/model.py": "0"}}),
            r"of other code \(trainer/model.py\); expected the code .*; undo the change, or name another",
        ),
        (
            edited({"code": {**identity_of("data")["code"], "trainer/mine/gone.py": "0"}}),
            r"of other code \(trainer/mine/gone.py\)",
        ),
    ],
)
def test_outputs_of_other_data_or_code_are_refused(
    tmp_path: Path, earlier: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_identity(earlier, identity_of("data"), tmp_path, pytest.fail)


def test_other_versions_are_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    now = identity_of("data")
    assert {"python", "tensorflow", "keras"} <= set(now["versions"])
    earlier = edited({"versions": {**now["versions"], "keras": "1.0"}})
    check_identity(earlier, now, tmp_path, warnings.append)
    assert len(warnings) == 1 and f"keras 1.0 (now {now['versions']['keras']})" in warnings[0]


def test_the_code_is_what_a_model_may_consist_of(tmp_path: Path) -> None:
    package = tmp_path / "trainer"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digests(package)
    assert {"trainer/model.py", "trainer/features.py", "trainer/training/layers.py"} <= set(before)
    for name in ("predict.py", "serve.py", "monitor.py", "server/page.py"):
        (package / name).write_text("# edited", encoding="utf-8")
    model = (package / "model.py").read_bytes()
    (package / "model.py").write_bytes(model.replace(b"\n", b"\r\n"))
    assert code_digests(package) == before
    (package / "mine.py").write_text("", encoding="utf-8")
    (package / "model.py").write_bytes(model + b"X = 1\n")
    changed = dict(code_digests(package).items() - before.items())
    assert set(changed) == {"trainer/mine.py", "trainer/model.py"}


def test_checkpoints_know_what_they_are_of(prepared: Path, tmp_path: Path) -> None:
    job, config = tmp_path / "job", tmp_path / "job" / "config.json"
    run_task(prepared, job, "--max-steps", "2")
    content = json.loads(config.read_text(encoding="utf-8"))
    config.unlink()
    with pytest.raises(UserError, match=r"holds checkpoints, and no config.json .*; restore"):
        run_task(prepared, job, "--max-steps", "3")
    # The checkpoints of another run, beside the configuration of one of now.
    shutil.move(job / "checkpoints", tmp_path / "others")
    other = {**content, "identity": {**content["identity"], "data": "other"}}
    config.write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(UserError, match="holds a run on other data"):
        run_task(prepared, job, "--max-steps", "3")
