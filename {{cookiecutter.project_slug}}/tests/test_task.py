"""The entry point and what it uses: arguments, schema, outputs."""

import errno
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from trainer import arguments, task
from trainer.data.schema import Schema, check
from trainer.run import errors
from trainer.run.console import Console
from trainer.run.errors import UserError
from trainer.run.outputs import local_path, outputs_of
from trainer.settings import Settings


def test_help_needs_neither_tensorflow_nor_numpy() -> None:
    code = "import sys, trainer.task; print([name for name in ('tensorflow', 'numpy', 'pyarrow') if name in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_every_flag_reaches_the_program() -> None:
    flags = set(vars(arguments.parser().parse_args([])))
    assert flags - {field.name for field in fields(Settings)} == {
        "data_dir",
        "job_dir",
        "smoke_test",
        "quiet",
        "verbose",
    }
    assert {field.name for field in fields(Settings)} <= flags


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--lerning-rate", "1"], "unrecognized arguments: --lerning-rate 1"),
        (["--epochs", "-1"], "invalid value '-1': expected an integer >= 0"),
        (["--learning-rate", "nan"], "expected a finite number >= 0"),
        (["--dropout", "1"], "invalid value '1': expected a number >= 0 and < 1"),
        (["--hidden-units", "64,0"], "invalid value '0': expected an integer >= 1"),
    ],
)
def test_wrong_arguments_end_with_one_line(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        task.main(given)
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/1/x"),
            "runs/1/x cannot be read or written (No space left on device)",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "runs/1/x"), "(Permission denied)"),
        (RuntimeError("model/variables: No space left on device [Op:SaveV2]"), "make room"),
        (RuntimeError("model/variables; File too large [Op:SaveV2]"), "(File too large)"),
    ],
)
def test_a_file_system_that_fails_is_reported_in_one_line(
    error: Exception, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def program(arguments: object) -> int:
        raise error

    assert errors.exit_code(program, []) == errors.EXIT_USER_ERROR
    shown = capsys.readouterr().err
    assert part in shown and shown.count("\n") == 1


def test_an_error_of_the_program_keeps_its_traceback() -> None:
    def program(arguments: object) -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file", "x")

    with pytest.raises(FileNotFoundError):
        errors.exit_code(program, [])


def test_a_user_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def program(arguments: object) -> int:
        raise UserError("the flag is odd", "an even one", "double it")

    assert errors.exit_code(program, []) == 2
    assert capsys.readouterr().err == "error: the flag is odd; expected an even one; double it\n"


def test_data_must_be_named_and_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--data-dir is not given"):
        task.main(["--job-dir", str(tmp_path)])
    with pytest.raises(UserError, match="there is no folder"):
        task.main(["--job-dir", str(tmp_path), "--data-dir", str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="holds no statistics.json"):
        task.main(["--job-dir", str(tmp_path), "--data-dir", str(tmp_path)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "binari"}, "TASK is 'binari'; expected one of .*write 'binary'"),
        ({"columns": {"a": "number"}}, "the kind of column 'a' is 'number'; .*write 'numeric'"),
        ({"columns": {"a": "ignore"}}, "every column is ignored"),
        ({"columns": {"self": "numeric"}}, "a column is called 'self'"),
        ({"columns": {"y": "numeric"}, "label": "y"}, "COLUMNS holds the label 'y'"),
        ({"hash_buckets": 100}, "HASH_BUCKETS is 100; expected a power of two"),
        ({"boundaries": 1}, "BOUNDARIES is 1"),
        ({"vocabulary_limit": 0}, "VOCABULARY_LIMIT is 0"),
    ],
)
def test_an_invalid_declaration_is_refused(
    schema: Schema, change: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check(replace(schema, **change))  # type: ignore[arg-type]


def test_cloud_addresses_are_paths_below_the_mount() -> None:
    assert local_path("gs://bucket/a/b", {}) == Path("/gcs/bucket/a/b")
    assert local_path("gs://bucket/a", {"GCS_ROOT": "/tmp/root"}) == Path("/tmp/root/bucket/a")
    assert local_path("runs/1", {}) == Path("runs/1")


def test_outputs_follow_the_clouds_variables() -> None:
    variables = {
        "AIP_MODEL_DIR": "gs://b/job/model/",
        "AIP_CHECKPOINT_DIR": "gs://b/job/checkpoints/",
    }
    outputs = outputs_of(None, variables)
    assert outputs.model == Path("/gcs/b/job/model")
    assert outputs.metrics == Path("/gcs/b/job/metrics.json")
    assert outputs.logs == Path("/gcs/b/job/logs")
    assert outputs_of("here", variables).model == Path("here/model")
    with pytest.raises(UserError, match="neither --job-dir nor AIP_MODEL_DIR"):
        outputs_of(None, {})


@pytest.mark.parametrize(
    ("rows", "epochs", "batch"), [(300, 100, 32), (30_000, 20, 256), (5_000_000, 2, 1024)]
)
def test_defaults_follow_the_number_of_rows(rows: int, epochs: int, batch: int) -> None:
    settings = Settings().for_rows(rows)
    assert (settings.epochs, settings.batch_size) == (epochs, batch)
    assert Settings(epochs=3, batch_size=7).for_rows(rows).batch_size == 7


def test_the_learning_rate_follows_the_batch_unless_it_is_given() -> None:
    rates = [Settings(batch_size=size).for_rows(1_000).learning_rate for size in (32, 256, 1024)]
    assert rates == sorted(set(rates))
    assert Settings(learning_rate=0.5).for_rows(1_000).learning_rate == 0.5


def test_the_smoke_test_names_the_module_that_does_not_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'pandas'")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(
        UserError, match=r"trainer\.\w+ cannot be imported \(No module named 'pandas'\)"
    ):
        task.main(["--smoke-test"])


def test_a_bar_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Console().bar(0.5, "step 1,234/2,400  loss 0.3586  300,000 rows/s  1 min 04 s left")
    assert len(capsys.readouterr().err.removeprefix("\r\x1b[2K")) == 39
