"""A model reaches the outputs only if another process predicts with it what training does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from trainer import features, model, task
from trainer.data.schema import Schema
from trainer.model import Serving
from trainer.publish import NewModel, bound_operations, check_served, copy_model, new_model
from trainer.run.errors import UserError
from trainer.training.metrics import NEED_TWO_LABELS


def run_task(prepared: Path, job_dir: Path) -> int:
    arguments = ["--data-dir", str(prepared), "--job-dir", str(job_dir), "--max-steps", "2", "-q"]
    return task.main([*arguments, "--quality", "fast", "--hidden-units", "8"])


def assert_refused(prepared: Path, job_dir: Path, message: str) -> None:
    """Assert that a run is refused with a message, and leaves neither a model nor metrics."""
    with pytest.raises(UserError, match=message):
        run_task(prepared, job_dir)
    assert not {"model", "metrics.json"} & {path.name for path in job_dir.iterdir()}


def test_a_model_with_other_predictions_is_refused(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Serving.predict

    def changed(serving: Serving, **columns: Any) -> Any:
        return {
            name: value if value.dtype == tf.string else value * 0.99
            for name, value in predict(serving, **columns).items()
        }

    monkeypatch.setattr(Serving, "predict", changed)
    monkeypatch.setattr("trainer.publish.TOTAL_TOLERANCE", 0.1)
    assert_refused(prepared, tmp_path / "job", "predictions of the exported model differ from the")


def python_call(values: Any) -> Any:
    return tf.py_function(lambda each: each, [values], tf.float32)


def numpy_call(values: Any) -> Any:
    return tf.ensure_shape(tf.numpy_function(lambda each: each, [values], tf.float32), values.shape)


def read_file(values: Any) -> Any:
    with tf.control_dependencies([tf.io.read_file(sys.executable)]):
        return tf.identity(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (python_call, "it calls EagerPyFunc"),
        (lambda values: values * np.nan, "predicts nan; expected finite numbers"),
    ],
)
def test_a_model_that_another_process_cannot_use_is_refused(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any], Any],
    message: str,
) -> None:
    predict = Serving.predict

    def changed(serving: Serving, **columns: Any) -> Any:
        return {
            name: value if value.dtype == tf.string else change(value)
            for name, value in predict(serving, **columns).items()
        }

    monkeypatch.setattr(Serving, "predict", changed)
    assert_refused(prepared, tmp_path / "job", message)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (python_call, ["EagerPyFunc"]),
        (numpy_call, ["PyFunc"]),
        (read_file, ["ReadFile"]),
        (tf.exp, []),
    ],
)
def test_operations_bound_to_this_machine_are_found(
    tmp_path: Path, change: Callable[[Any], Any], name: list[str]
) -> None:
    module = tf.Module()
    module.call = tf.function(change, [tf.TensorSpec([None], tf.float32)], autograph=False)
    tf.saved_model.save(module, str(tmp_path), signatures={})
    assert bound_operations(tmp_path) == name


@pytest.mark.parametrize(
    ("export", "message"),
    [
        (lambda *_, **__: None, "has exported no model"),
        (lambda *_, **__: sys.exit(0), r"sys.exit\(0\) before the run has finished"),
        (lambda *_, **__: sys.exit(None), r"sys.exit\(0\) before the run has finished"),
        (lambda *_, **__: sys.exit(3), r"sys.exit\(3\) before the run has finished"),
        (lambda *_, **__: sys.exit("enough"), r"sys.exit\('enough'\) before the run"),
    ],
)
def test_a_run_without_a_model_is_refused(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export: Any, message: str
) -> None:
    monkeypatch.setattr("trainer.model.export", export)
    assert_refused(prepared, tmp_path / "job", message)


def returns(change: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """Return a `train_and_evaluate` whose result is changed."""
    own = model.train_and_evaluate
    return lambda *given: change(own(*given))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda metrics: None, "returns None; expected a dict"),
        (lambda metrics: metrics["loss"], r"returns \d"),
        (lambda metrics: {"loss": 0.5}, "returns {'loss': 0.5}; expected a dict .* with .*baseline, epochs, "),
        (lambda metrics: [*metrics.items()], r"returns \[\("),
        (lambda metrics: {**metrics, "mine": np.float32(1)}, "float32 is not JSON"),
        (lambda metrics: {**metrics, "mine": tf.constant(1)}, "is not JSON serializable"),
    ],
)  # fmt: skip
def test_metrics_that_cannot_be_reported_are_refused(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, message: str
) -> None:
    monkeypatch.setattr(model, "train_and_evaluate", returns(change))
    assert_refused(
        prepared, tmp_path / "job", f"train_and_evaluate in trainer/model.py .*{message}"
    )


@pytest.mark.skipif(features.TASK != "binary", reason="no other task has an AUC")
def test_an_undefined_auc_is_no_error_of_the_code(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def of_one_class(metrics: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in metrics.items() if name not in NEED_TWO_LABELS}

    monkeypatch.setattr(model, "train_and_evaluate", returns(of_one_class))
    assert run_task(prepared, tmp_path / "job") == 0
    assert "auc is undefined: all rows of the split have one label" in capsys.readouterr().err


BINARY = [{"probability": 0.2, "label": "a"}, {"probability": 0.9, "label": "b"}]


@pytest.mark.parametrize(
    ("task_name", "rows", "message"),
    [
        ("binary", [{"score": 0.2}], "returns 'score'; expected the output 'probability'"),
        ("binary", [{"probability": 1.2}], "predicts 1.2; expected numbers from 0 to 1"),
        ("binary", [{"probability": -0.1}], "predicts -0.1; expected"),
        ("binary", [{"probability": float("inf")}], "predicts inf; expected finite"),
        ("binary", [{"probability": "high"}], "predicts 'high'; expected numbers"),
        ("binary", [{"probability": None}], "predicts nan; expected finite"),
        ("multiclass", [{"probabilities": [0.2, 0.2]}], "a sum of 0.4; expected rows with"),
        ("multiclass", [{"probabilities": [1.5, -0.5]}], "predicts 1.5; expected numbers from"),
        ("regression", [{"prediction": float("nan")}], "predicts nan"),
    ],
)
def test_predictions_that_mean_nothing_are_refused(
    schema: Schema, task_name: str, rows: list[dict[str, Any]], message: str
) -> None:
    changed = replace(schema, task=task_name)
    with pytest.raises(UserError, match=message):
        check_served(rows, None, changed)


def test_predictions_of_training_pass(schema: Schema) -> None:
    changed = replace(schema, task="binary")
    check_served(BINARY, np.array([[0.8, 0.2], [0.1, 0.9], [0.5, 0.5]]), changed)
    with pytest.raises(UserError, match="differ from the trained network by up to 0.1 on"):
        check_served(BINARY, np.array([[0.7, 0.3], [0.1, 0.9]]), changed)


@pytest.fixture
def waiting() -> Iterator[NewModel]:
    with new_model() as exported:
        yield exported


def test_a_loader_that_is_killed_is_reported_as_such(waiting: NewModel, schema: Schema) -> None:
    waiting.loader.kill()
    with pytest.raises(UserError, match="signal 9 ended the process that loads .* more memory"):
        waiting.predictions([], schema)


def test_a_loader_that_takes_too_long_is_reported_as_such(
    waiting: NewModel, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.publish.MOST_SECONDS", 0)
    with pytest.raises(UserError, match="has not predicted with the exported model after 0 s"):
        waiting.predictions([], schema)


def test_the_loader_has_an_empty_home_and_ends_without_a_request(waiting: NewModel) -> None:
    home = waiting.folder.parent / "home"
    assert home.is_dir() and not list(home.iterdir())
    waiting.connection.close()
    waiting.loader.join(timeout=120)
    assert waiting.loader.exitcode == 0


def test_what_a_loader_writes_last_says_why_it_ended(waiting: NewModel, schema: Schema) -> None:
    waiting.connection.send("no request")
    with pytest.raises(UserError, match=r"cannot predict with the exported model \(ValueError: "):
        waiting.predictions([], schema)


def output_of(program: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(task.__file__).parents[1],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("trial", "waits_with"), [({}, "True"), ({"CLOUD_ML_TRIAL_ID": "7"}, "False")]
)
def test_the_loader_of_a_trial_waits_without_tensorflow(
    trial: dict[str, str], waits_with: str, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "errors").touch()
    program = f"""
import multiprocessing, pathlib, sys
from trainer.publish import load_on_request
load_on_request(pathlib.Path({str(tmp_path)!r}), *multiprocessing.Pipe())
print("tensorflow" in sys.modules)
"""
    assert not output_of(program, **trial)
    assert (tmp_path / "errors").read_text(encoding="utf-8").splitlines()[-1] == waits_with


@pytest.mark.skipif(sys.platform != "linux", reason="other systems copy no process")
def test_the_loader_is_a_copy_of_this_process_until_tensorflow_has_computed() -> None:
    program = """
import os, threading
from trainer.publish import can_fork
from trainer.training.tensorflow_setup import import_tensorflow
found = [can_fork()]
import_tensorflow()
found.append(can_fork())
end = threading.Event()
others = [threading.Thread(target=end.wait) for _ in range(os.cpu_count() + 2)]
for each in others:
    each.start()
found.append(can_fork())
end.set()
import tensorflow
tensorflow.constant(1) + 1
os.listdir = lambda _: []
print(*found, can_fork())
"""
    assert output_of(program) == "False True False False"


SIGNALLED = """
import os, signal, sys
from trainer import model, task
from trainer.publish import NewModel
publish = NewModel.publish
def signalled(*given):
    for number in (signal.SIGINT, signal.SIGTERM):
        os.killpg(0, number)
    publish(*given)
NewModel.publish = signalled
sys.exit(task.main(sys.argv[1:]))
"""


def test_signals_to_the_group_after_the_last_step_do_not_end_the_loader(
    prepared: Path, tmp_path: Path
) -> None:
    flags = ["--data-dir", str(prepared), "--job-dir", str(tmp_path / "job"), "--max-steps", "2"]
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, *flags, "--hidden-units", "8", "-q"],
        cwd=Path(task.__file__).parents[1],
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "job" / "metrics.json").is_file()


def test_the_graph_is_copied_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    source, target = tmp_path / "new", tmp_path / "model"
    for name in ("saved_model.pb", "variables/variables.index", "assets/z.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name, encoding="utf-8")
    target.mkdir()
    (target / "saved_model.pb").write_text("an earlier one", encoding="utf-8")

    def copyfile(path: Path, to: Path) -> None:
        assert not (target / "saved_model.pb").exists()
        to.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        copied.append(to.relative_to(target).as_posix())

    monkeypatch.setattr("shutil.copyfile", copyfile)
    copy_model(source, target)
    assert copied == ["assets/z.txt", "variables/variables.index", "saved_model.pb"]
