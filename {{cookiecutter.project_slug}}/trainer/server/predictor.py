"""An exported model that predicts rows of text, those of several requests at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.cells import date_of
from trainer.data.schema import Schema
from trainer.data.statistics import Statistics, parsed
from trainer.run.errors import UserError, shown
from trainer.run.outputs import read_json
from trainer.server.batching import BATCH_ROWS, Predictions
from trainer.server.instances import Instances, Texts
from trainer.serving import STATISTICS, input_parameters, text_signature


class Predictor:
    """The model in a folder; raises `UserError` if there is none that fits the schema."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        self.parameters = input_parameters(folder)
        if other := self.parameters.keys() - {*schema.columns}:
            raise UserError(
                f"the model has the column {shown(min(other))}, trainer/features.py has not",
                "a model of this project's columns",
                "run `nox -s local_train` again",
            )
        self.signature = text_signature(folder)
        self.instances = Instances(schema, [n for n in schema.columns if n in self.parameters])
        held = read_json(folder / STATISTICS)  # a model of an earlier version has none
        self.example = example(schema, parsed(held)) if held else {}
        for rows in (1, BATCH_ROWS):  # the first calls take longer
            self.rows([{name: [""] * rows for name in self.parameters}])

    def predicted(self, requests: Sequence[Texts]) -> list[Predictions | Exception]:
        """Return the predictions of each request, or the error of one whose cells are invalid."""
        import tensorflow as tf

        try:
            return [*self.rows(requests)]
        except tf.errors.InvalidArgumentError as error:
            errors = [self.instances.invalid(texts) for texts in requests]
            if not any(errors):
                return [error] * len(requests)
        valid = [texts for texts, each in zip(requests, errors, strict=True) if not each]
        found = iter(self.rows(valid) if valid else ())
        return [each or next(found) for each in errors]

    def rows(self, requests: Sequence[Texts]) -> list[Predictions]:
        """Return the predictions of each request, all from one call of the model."""
        import tensorflow as tf

        inputs = {}
        for name, parameter in self.parameters.items():
            texts = [text.encode() for each in requests for text in each[name]]
            inputs[parameter] = tf.constant(np.array(texts, object), tf.string)
        outputs = {name: plain(each.numpy()) for name, each in self.signature(**inputs).items()}
        names = sorted(outputs)
        rows = iter(zip(*(outputs[name] for name in names), strict=True))
        counts = [len(next(iter(each.values()))) for each in requests]
        return [[dict(zip(names, next(rows), strict=True)) for _ in range(n)] for n in counts]


def example(schema: Schema, statistics: Statistics) -> dict[str, str]:
    """Return a cell for some columns: a number near the mean of the training rows, or the most frequent value."""
    cells = {name: values[0] for name, values in statistics.vocabularies.items() if values}
    for name, column in statistics.numeric.items():
        mean = column.mean
        near = min(column.boundaries, key=lambda each: abs(each - mean), default=mean)
        number = f"{near:.7g}".replace(".", schema.decimal)
        cells[name] = date_of(near) if name in schema.dates else number
    return cells


def plain(values: Any) -> list[Any]:
    """Return an output of the model, [rows] or [rows, values], as JSON takes it."""
    if values.dtype == object:
        return [value.decode("utf-8", "replace") for value in values]
    return list(values.tolist())
