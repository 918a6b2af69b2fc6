"""A new model on its way to the outputs: loaded by another process, compared with the network, then copied.

That process loads as servers do, by TensorFlow's C++ loader.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data import files
from trainer.data.cells import text
from trainer.data.schema import Schema
from trainer.run.errors import UserError, shown
from trainer.run.outputs import SAVED_MODEL
from trainer.serving import SCORES, SIGNATURE, json_value, read_saved_model

TOLERANCE = TOTAL_TOLERANCE = 1e-3
HOME, ERRORS, MOST_SECONDS = "home", "errors", 600
# These operations need the process, or the files, of the machine that exported the model.
BOUND_TO_THIS_MACHINE = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile")


@dataclass(frozen=True)
class NewModel:
    """A local folder to export to, and a process that waits to load the model from it."""

    folder: Path
    loader: BaseProcess
    connection: "Connection[Any, Any]"

    def publish(
        self, target: Path, data_dir: Path, schema: Schema, trained: npt.NDArray[Any] | None
    ) -> None:
        """Copy the exported model to `target`, if another process predicts the example rows with it as training does.

        `trained` are the network's predictions for the first rows of the last split, from which `prepare` takes the examples.
        Raises `UserError` and copies nothing if there is no model, or one that does not predict.
        """
        if not (self.folder / SAVED_MODEL).is_file():
            raise UserError(
                "training has exported no model",
                "a SavedModel in the folder that train_and_evaluate gets as model_dir",
                "let train_and_evaluate in trainer/model.py call export with that folder",
            )
        examples = data_dir / files.EXAMPLES
        lines = examples.read_text(encoding="utf-8").splitlines() if examples.is_file() else []
        served = self.predictions([json.loads(line) for line in lines], schema)
        check_served(served, trained, schema)
        copy_model(self.folder, target)

    def predictions(
        self, rows: Sequence[Mapping[str, Any]], schema: Schema
    ) -> list[dict[str, Any]]:
        """Return the predictions of the other process for raw rows; raise `UserError` if it cannot load or call the model."""
        texts = [{name: text(row[name], schema.decimal) for name in row} for row in rows]
        response = self.response(str(self.folder), texts)
        if isinstance(response, list):
            return response
        raise UserError(
            f"another process cannot predict with the exported model ({response})",
            "a model of TensorFlow operations that needs nothing of the process that exported it",
            "correct Serving, or the layers that it calls, in trainer/model.py",
        )

    def response(self, *request: Any) -> Any:
        """Return what the other process sends, or what it has written last if it has ended.

        Raises `UserError` if a signal ended it, or if it takes more than `MOST_SECONDS`.
        """
        try:
            self.connection.send(request)
            if not self.connection.poll(MOST_SECONDS):
                raise UserError(
                    f"another process has not predicted with the exported model after {MOST_SECONDS} s",
                    "the predictions of a few rows by then",
                    "run the command again, or make the network smaller",
                )
            return self.connection.recv()
        except (EOFError, OSError):
            self.loader.join()
        if (self.loader.exitcode or 0) < 0:
            raise UserError(
                f"signal {-(self.loader.exitcode or 0)} ended the process that loads the exported model",
                "a process that ends by itself",
                "run the command again, on a machine with more memory if the system ended it",
            )
        written = (self.folder.parent / ERRORS).read_text("utf-8", "replace").strip()
        return (written.splitlines() or ["no message"])[-1]


@contextlib.contextmanager
def new_model() -> Iterator[NewModel]:
    """Yield a folder for a model, and a process that loads it, started early: elsewhere than on Linux it imports TensorFlow first."""
    with tempfile.TemporaryDirectory(prefix="model-", ignore_cleanup_errors=True) as name:
        (Path(name) / HOME).mkdir()
        (Path(name) / ERRORS).touch()
        context: Any = multiprocessing.get_context("fork" if can_fork() else "spawn")
        ours, theirs = context.Pipe()
        loader = context.Process(target=load_on_request, args=(Path(name), theirs, ours))
        with warnings.catch_warnings():  # Python warns of the threads that `can_fork` counts
            warnings.simplefilter("ignore", DeprecationWarning)
            loader.start()
        theirs.close()
        try:
            yield NewModel(Path(name) / "model", loader, ours)
        finally:
            loader.kill()
            loader.join()


def can_fork() -> bool:
    """Return whether a copy of this process would work, which needs neither time nor memory for another TensorFlow.

    A copy has one thread. After TensorFlow has computed, as in tests, it would wait for threads that it does not have.
    """
    if sys.platform != "linux" or "tensorflow" not in sys.modules:
        return False
    from tensorflow.python.eager import context

    threads = len(os.listdir("/proc/self/task"))
    computed = getattr(context.context(), "_initialized", True)
    return not computed and threads <= (os.cpu_count() or 1) + 2  # NumPy's, Arrow's, this one


def check_served(
    rows: Sequence[Mapping[str, Any]], trained: npt.NDArray[Any] | None, schema: Schema
) -> None:
    """Raise `UserError` for predictions that mean nothing, or that differ from the network's, `trained`, for the same rows."""
    served = scores_of(rows, schema)
    check_scores(served, schema)
    if trained is not None and rows:
        check_parity(served, trained, schema)


def scores_of(rows: Sequence[Mapping[str, Any]], schema: Schema) -> npt.NDArray[np.float64]:
    name = SCORES[schema.task]
    if rows and name not in rows[0]:
        raise UserError(
            f"the exported model returns {', '.join(map(shown, rows[0]))}",
            f"the output {name!r}",
            "return it from Serving.predict in trainer/model.py",
        )
    try:
        return np.array([row[name] for row in rows], np.float64)
    except (TypeError, ValueError) as error:
        raise invalid_scores(f"{rows[0][name]!r:.60}", "numbers of one shape") from error


def check_scores(served: npt.NDArray[np.float64], schema: Schema) -> None:
    """Raise `UserError` for predictions that cannot be probabilities, or are not finite."""
    if not np.isfinite(served).all():
        raise invalid_scores(f"{served[~np.isfinite(served)][0]}", "finite numbers")
    if schema.task == "regression":
        return
    outside = served[(served < 0) | (served > 1)]
    if outside.size:
        raise invalid_scores(f"{outside[0]:.4g}", "numbers from 0 to 1")
    totals = served.sum(axis=-1)
    if served.ndim > 1 and np.abs(totals - 1).max(initial=0) > TOTAL_TOLERANCE:
        raise invalid_scores(f"rows with a sum of {totals[0]:.4g}", "rows with a sum of 1")


def invalid_scores(found: str, expected: str) -> UserError:
    return UserError(
        f"the exported model predicts {found}",
        expected,
        "correct Model.activate or Serving.predict in trainer/model.py",
    )


def check_parity(served: npt.NDArray[Any], trained: npt.NDArray[Any], schema: Schema) -> None:
    """Raise `UserError` if the predictions are not those of the network for the same rows."""
    rows = min(len(served), len(trained))
    expected = trained[:rows] if schema.task == "multiclass" else trained[:rows, -1]
    difference = float("inf")
    if served[:rows].shape == expected.shape:
        scale = np.abs(expected).max(initial=1)
        difference = np.abs(served[:rows] - expected).max(initial=0) / scale
    if not difference <= TOLERANCE:
        raise UserError(
            f"predictions of the exported model differ from the trained network by up to {difference:.2g} on the example rows",
            f"a difference of at most {TOLERANCE}",
            "make Serving in trainer/model.py compute what training computes, or run `nox -s prepare` again",
        )


def copy_model(folder: Path, target: Path) -> None:
    """Copy a model; `saved_model.pb`, by which others know that it is complete, last. A bucket's mount renames no folder."""
    (target / SAVED_MODEL).unlink(missing_ok=True)
    paths = filter(Path.is_file, folder.rglob("*"))
    for path in sorted(paths, key=lambda path: path == folder / SAVED_MODEL):
        copied = target / path.relative_to(folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)


def load_and_predict(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the outputs of the exported signature for rows of text, as JSON values."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = loaded.signature_def[SIGNATURE]
        feeds = {
            tensor.name: [row.get(column, "") for row in rows]
            for column, tensor in signature.inputs.items()
        }
        outputs = {name: tensor.name for name, tensor in signature.outputs.items()}
        values = session.run(outputs, feeds)
    return [{name: json_value(values[name][row]) for name in outputs} for row in range(len(rows))]


def bound_operations(folder: Path) -> list[str]:
    """Return the names of operations in the graph that work on the exporting machine alone."""
    graph = read_saved_model(folder).meta_graphs[0].graph_def
    functions = [graph.node, *(function.node_def for function in graph.library.function)]
    found = {node.op for nodes in functions for node in nodes}
    return sorted(found.intersection(BOUND_TO_THIS_MACHINE))


def load_on_request(folder: Path, connection: Any, other_end: Any) -> None:
    """Load a model and send its predictions, or why it cannot, in a process that ends with the one that trains.

    In a session of its own, because signals to the group are for that one, with an empty HOME and without a GPU or a cluster.
    """
    other_end.close()  # so that the end of the other process closes it
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    written = os.open(folder / ERRORS, os.O_WRONLY | os.O_APPEND)
    for output in (1, 2):
        os.dup2(written, output)
    os.chdir(folder / HOME)
    os.environ |= {"HOME": str(folder / HOME), "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.pop("TF_CONFIG", None)
    if "CLOUD_ML_TRIAL_ID" not in os.environ:  # trials may share the memory of one machine
        import tensorflow  # noqa: F401  before the request, because it takes the longest

    try:
        model, rows = connection.recv()
    except EOFError:
        return
    try:
        bound = bound_operations(Path(model))
        response: Any = f"it calls {', '.join(bound)}" if bound else load_and_predict(model, rows)
    except Exception as error:
        # TensorFlow begins with headings such as "Graph execution error:".
        lines = [line for line in str(error).splitlines() if line.strip() and line[-1] != ":"]
        response = f"{type(error).__name__}: {' '.join(lines)[:200]}"
    connection.send(response)
    os._exit(0)  # the process that trains waits for this one, and to end TensorFlow takes long
