"""The smoke test: import every module, train one step on made-up rows, export, reload, compare."""

import contextlib
import importlib
import pkgutil
import time
from typing import Any

import trainer
from trainer.data.schema import Schema
from trainer.data.statistics import Label, Numeric, Statistics
from trainer.publish import NewModel, check_served, new_model
from trainer.run.console import Console
from trainer.run.errors import UserError
from trainer.settings import Settings
from trainer.training.tensorflow_setup import import_tensorflow, start_tensorflow

MADE_UP_ROWS = 64
MADE_UP_VALUES = ("a", "b", "c")


def smoke_test(schema: Schema, console: Console) -> int:
    """Return 0, or raise `UserError` if the package does not import, train, export or serve."""
    started = time.perf_counter()
    with contextlib.suppress(ImportError):  # `import_all` reports it
        import_tensorflow()
    with new_model() as exported:
        names = import_all()
        train_and_serve(schema, exported)
    console.line(
        f"smoke    {len(names)} modules import; a step, the export and the reload work ({time.perf_counter() - started:.1f} s)"
    )
    return 0


def import_all() -> list[str]:
    """Import every module of the package, TensorFlow first; raise `UserError` for one that does not import."""
    names = [module.name for module in pkgutil.walk_packages(trainer.__path__, "trainer.")]
    name = "trainer.training.tensorflow_setup"
    try:
        start_tensorflow(seed=0)
        for name in names:
            importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} cannot be imported ({error})",
            "every module of the package to import",
            "correct the import, or declare what is missing in setup.py",
        ) from error
    return names


def made_up_statistics(schema: Schema) -> Statistics:
    classes = {
        "binary": ("other", schema.positive),
        "multiclass": MADE_UP_VALUES,
        "regression": (),
    }[schema.task]
    return Statistics(
        rows={"train": MADE_UP_ROWS},
        rejected=0,
        label=Label(classes, tuple(MADE_UP_ROWS for _ in classes), 0.0, 1.0),
        numeric={
            name: Numeric(-1.0, 1.0, 0.0, 1.0, 0, (-1.0, 0.0, 1.0)) for name in schema.numeric
        },
        vocabularies={name: MADE_UP_VALUES for name in schema.vocabulary},
        hashed=schema.buckets,
        fingerprint="made up",
    )


def train_and_serve(schema: Schema, exported: NewModel) -> None:
    """Train one step on made-up rows, export, and predict with the model in another process."""
    import numpy as np
    import tensorflow as tf

    from trainer.data.shards import Batches, batches_of
    from trainer.model import Model, Serving, build_optimizer, export
    from trainer.training.train_step import Trainer

    statistics = made_up_statistics(schema)
    settings = Settings().for_rows(MADE_UP_ROWS, schema.task)
    model = Model(schema, statistics, settings)
    optimizer = build_optimizer(model.network, settings, MADE_UP_ROWS, total_steps=1)
    trainer = Trainer(model, optimizer, settings)
    raw = made_up_rows(schema.raw)
    serving = Serving(model, schema, statistics)
    columns = {serving.parameters[name]: tf.constant(raw[name]) for name in raw}
    rows = np.arange(MADE_UP_ROWS)
    labels = rows.astype(np.float32) if schema.task == "regression" else (rows % 2).astype(np.int32)
    numbers, codes = serving.encoded(columns)
    batches = Batches(*map(tf.constant, batches_of([MADE_UP_ROWS], range(1), 1, [0])))
    trainer.train_steps((numbers, codes, tf.constant(labels)), batches, 0, 1)
    export(model, schema, statistics, exported.folder, is_chief=True)
    lists = [cells.tolist() for cells in raw.values()]
    rows_of_cells = [dict(zip(raw, row, strict=True)) for row in zip(*lists, strict=True)]
    served = exported.predictions(rows_of_cells, schema)
    check_served(served, trainer.predict(numbers, codes).numpy(), schema)


def made_up_rows(schema: Schema) -> dict[str, Any]:
    """Return raw columns, some cells missing or unseen."""
    import numpy as np

    numbers = np.linspace(-2, 2, MADE_UP_ROWS, dtype=np.float32)
    numbers[0] = np.nan
    texts = np.array([*MADE_UP_VALUES, "", "never seen"] * MADE_UP_ROWS)[:MADE_UP_ROWS]
    dates = np.array(["2024-12-31", "1999-01-01 12:30", ""] * MADE_UP_ROWS)[:MADE_UP_ROWS]
    return (
        {name: numbers for name in schema.of_kind("numeric")}
        | {name: dates for name in schema.dates}
        | {name: texts for name in schema.textual}
    )
