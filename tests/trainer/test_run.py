"""What surrounds a run: errors, exit codes, the schema's checks, paths of the cloud."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest
from trainer import task
from trainer.data.schema import Schema, check
from trainer.run import errors
from trainer.run.console import Console, Progress
from trainer.run.errors import UserError
from trainer.run.outputs import local_path
from trainer.settings import Settings

# As TensorFlow and DuckDB define theirs: a message of the system in one of their own types.
OpError = type("OpError", (Exception,), {"__module__": "tensorflow.python.framework.errors_impl"})
UnknownError = type("UnknownError", (OpError,), {"__module__": OpError.__module__})
IOException = type("IOException", (Exception,), {"__module__": "_duckdb"})


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/1/x"),
            "runs/1/x cannot be read or written (No space left on device)",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "what this run writes cannot be"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/1/x"), "(Permission denied)"),
        (UnknownError("model/variables: No space left on device [Op:SaveV2]"), "make room"),
        (OpError("model/variables; File too large [Op:SaveV2]"), "(File too large)"),
        (IOException("IO Error: Could not write: No space left on device"), "make room"),
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
    assert "checkpoint" not in shown  # preparation and predict have none


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
        ValueError("Permission denied: no row of table 7 is yours"),
        RuntimeError("my queue has No space left on device"),
        KeyError("Input/output error"),
        OSError("Permission denied by the code of the user"),
        PermissionError(errno.EACCES, "Permission denied"),  # of a socket's bind
        type("OpError", (Exception,), {})("No space left on device"),  # the user's own OpError
        UnknownError("PermissionError: Permission denied\nTraceback (most recent call last):"),
    ],
    ids=repr,
)
def test_an_error_of_the_program_keeps_its_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def program(arguments: object) -> int:
        raise error

    assert errors.exit_code(program, []) == errors.EXIT_FAILED
    shown = capsys.readouterr().err
    assert "return program(arguments)" in shown and f"{type(error).__name__}: " in shown


def test_a_user_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def program(arguments: object) -> int:
        raise UserError("the flag is odd", "an even one", "double it")

    assert errors.exit_code(program, []) == 2
    assert capsys.readouterr().err == "error: the flag is odd; expected an even one; double it\n"


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


def test_the_learning_rate_follows_the_batch_unless_it_is_given() -> None:
    rates = [
        Settings(batch_size=size).for_rows(1_000, "binary").learning_rate
        for size in (32, 256, 1024)
    ]
    assert rates == sorted(set(rates))
    assert Settings(learning_rate=0.5).for_rows(1_000, "binary").learning_rate == 0.5


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


@pytest.mark.parametrize(
    ("columns", "steps", "parts"),
    [
        (120, 2_400, ("left", "loss", "rows/s")),
        (80, 2_400, ("left", "loss", "rows/s")),
        (80, 123_456_789, ("left", "loss")),
        (60, 2_400, ("left", "loss")),
        (40, 2_400, ()),
        (10, 2_400, ()),
    ],
)
def test_a_bar_shows_the_parts_that_fit_the_terminal(
    columns: int,
    steps: int,
    parts: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    progress = Progress(Console(), steps)
    progress._rows = 20_000_000
    progress.console.bar(0.5, progress.parts(steps // 2, 0.3586, 64.4))
    line = capsys.readouterr().err.removeprefix("\r\x1b[2K")
    assert len(line) < columns
    assert tuple(part for part in ("left", "loss", "rows/s") if part in line) == parts
    assert "━" in line and (columns < 40 or f"/{steps:,}" in line)


def test_the_first_steps_do_not_count_in_the_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([100.0, 111.0, 111.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))
    progress = Progress(Console(), 1_000)
    progress.advance(100, 1_100, 0.5)
    assert progress.seconds_left(100) is None
    progress.advance(200, 1_100, 0.5)
    assert progress.seconds_left(200) == 88.0
    shown = capsys.readouterr().err
    assert "1 min 28 s left" in shown and "100 rows/s" in shown


@pytest.mark.parametrize(("value", "coloured"), [(None, True), ("", True), ("0", False)])
def test_an_empty_no_color_counts_as_not_set(
    value: str | None, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    assert Console().coloured == coloured
