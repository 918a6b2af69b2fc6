"""The entry point: arguments, defaults, outputs."""

from dataclasses import fields
from pathlib import Path

import pytest
from trainer import arguments, features, task
from trainer.run.errors import UserError
from trainer.run.outputs import outputs_of
from trainer.settings import QUALITIES, Settings

# The epochs of small tables by rows and task.
SMALL = {
    (1_999, "binary"): 12,
    (1_999, "multiclass"): 30,
    (100, "binary"): 62,
    (1_999, "regression"): 100,
    (2_000, "binary"): 38,
}


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


def test_the_parser_refuses_a_threshold_of_another_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # `nox -s check` asks the parser, and no data.
    monkeypatch.setattr(features, "TASK", "multiclass")
    with pytest.raises(SystemExit):
        arguments.parser().parse_args(["--threshold", "f1"])
    assert "a number from 0 to 1, with TASK = 'binary' alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--lerning-rate", "1"], "unrecognized arguments: --lerning-rate 1"),
        (["--epochs", "-1"], "invalid value '-1': expected an integer >= 1"),
        (["--seed", "4294967296"], "expected an integer >= 0 and < 4294967296"),
        (["--learning-rate", "nan"], "expected a finite number > 0"),
        (["--learning-rate", "0.0"], "invalid value '0.0': expected a finite number > 0"),
        (["--batch-size", "0"], "invalid value '0': expected an integer >= 1"),
        (["--dropout", "1"], "invalid value '1': expected a number >= 0 and < 1"),
        (["--hidden-units", "64,0"], "invalid value '0': expected an integer >= 1"),
        (["--threshold", "best"], "invalid value 'best': expected f1, balanced, precision=0.9, re"),
    ],
)
def test_wrong_arguments_end_with_one_line(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        task.main(given)
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_data_must_be_named_and_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--data-dir is not given"):
        task.main(["--job-dir", str(tmp_path)])
    with pytest.raises(UserError, match="there is no folder"):
        task.main(["--job-dir", str(tmp_path), "--data-dir", str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="holds no statistics.json"):
        task.main(["--job-dir", str(tmp_path), "--data-dir", str(tmp_path)])


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
    ("rows", "epochs", "batch"), [(300, 25, 32), (30_000, 20, 256), (5_000_000, 2, 1024)]
)
def test_defaults_follow_the_number_of_rows(rows: int, epochs: int, batch: int) -> None:
    settings = Settings(quality="fast").for_rows(rows, "binary")
    assert (settings.epochs, settings.batch_size) == (epochs, batch)
    assert Settings(epochs=3, batch_size=7).for_rows(rows, "binary").batch_size == 7


def test_the_quality_chooses_only_what_is_not_given() -> None:
    chosen = [Settings(quality=name).for_rows(30_000, "multiclass") for name in QUALITIES]
    assert [(one.ensemble, one.epochs) for one in chosen] == [(1, 20), (4, 61), (16, 61)]
    binary = [Settings(quality=name).for_rows(30_000, "binary") for name in QUALITIES]
    assert [(one.ensemble, one.epochs) for one in binary] == [(1, 20), (8, 20), (16, 20)]
    small = {(rows, kind): Settings().for_rows(rows, kind).epochs for rows, kind in SMALL}
    assert small == SMALL
    given = Settings(quality="best", ensemble=2, epochs=3, dropout=0.3).for_rows(900, "regression")
    assert (given.ensemble, given.epochs, given.dropout) == (2, 3, 0.3)


def test_many_classes_have_wider_layers() -> None:
    found = [Settings().for_rows(900, "multiclass", classes).hidden_units for classes in (9, 10)]
    assert found == [(128, 64, 32), (256, 128, 64)]
    assert Settings(hidden_units=(8,)).for_rows(900, "multiclass", 26).hidden_units == (8,)


@pytest.mark.parametrize(
    ("quality", "task", "rows", "dropout"),
    [
        ("fast", "regression", 900, 0.1),
        ("default", "regression", 900, 0.0),
        ("default", "multiclass", 900, 0.1),
        ("best", "binary", 200_000, 0.0),
    ],
)
def test_dropout_follows_task_quality_and_rows(
    quality: str, task: str, rows: int, dropout: float
) -> None:
    assert Settings(quality=quality).for_rows(rows, task).dropout == dropout


def test_a_quality_is_one_of_three(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        arguments.settings_of(arguments.parser().parse_args(["--quality", "best"])).quality
        == "best"
    )
    assert arguments.settings_of(arguments.parser().parse_args([])).quality == "default"
    with pytest.raises(SystemExit):
        arguments.parser().parse_args(["--quality", "good"])
    assert "invalid value 'good': expected fast, default, best" in capsys.readouterr().err
