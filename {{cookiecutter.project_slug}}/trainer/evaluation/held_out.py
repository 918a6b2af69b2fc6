"""Raw rows to evaluate on: those that preparation keeps of a table, as `predict` takes them, and a model's predictions."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.data.cells import date_of, days
from trainer.data.raw_rows import BATCH_ROWS, Batch
from trainer.data.schema import Schema
from trainer.data.statistics import Label, Statistics
from trainer.evaluation.measures import DEPENDENCE_ROWS, Scored
from trainer.predict import Model
from trainer.preprocessing import cell_sql
from trainer.preprocessing.columns import number_column, text_column
from trainer.preprocessing.pipeline import Preparation, opened
from trainer.preprocessing.provenance import Request
from trainer.publish import check_scores
from trainer.run.console import Console, shown_path
from trainer.run.errors import UserError, shown
from trainer.serving import SCORES

FEWEST_ROWS = 2
WEIGHT = ""  # which is the name of no column
WHOLE = 1.0
"""The share of a table that is no train table."""


def held_out_rows(
    request: Request, schema: Schema, label: Label, console: Console, split: str = "eval"
) -> Any:
    """Return one split of the train table of a request as an Arrow table of `Schema.used`, the label, in text, and `WEIGHT`.

    Rows of a class that `label`, the one of training, lacks are left out with a warning. Raises what preparing raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        alone = replace(request, test=None, output=Path(folder, "output"))
        tables, engine = opened(alone, schema, Path(folder, "spill"), console)
        preparation = Preparation(alone, schema, console, Path(folder), engine)
        try:
            preparation.read_table("train", tables["train"])
            if request.eval_share < WHOLE:
                preparation.split_train_table()
            preparation.drop_unknown_labels(label)
            numbers = map(number_column, range(len(schema.numeric)))
            texts = map(text_column, range(len(schema.textual)))
            weight = "weight" if request.weight else "CAST(1 AS FLOAT64)"
            columns = ", ".join([*numbers, *texts, "label", weight])
            rows_of = f"prepared WHERE split = {cell_sql.literal(split)}"
            query = f"SELECT {columns} FROM {rows_of} ORDER BY row_key"
            rows = preparation.engine.batches(query).read_all()
        finally:
            preparation.engine.close()
    rows = rows.rename_columns([*schema.numeric, *schema.textual, schema.label, WEIGHT])
    for name in schema.dates:
        rows = rows.set_column(rows.column_names.index(name), name, [dates(rows.column(name))])
    return rows


def dates(numbers: Any) -> Any:
    """Return dates in text, null where missing, of an Arrow column of days since 1970-01-01."""
    coded = numbers.combine_chunks().dictionary_encode()
    texts = [date_of(each) for each in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def labels_of(texts: Sequence[str], schema: Schema, label: Label, table: Path) -> npt.NDArray[Any]:
    """Return the labels as class codes, int64 [rows], or numbers, float64 [rows]; raise `UserError` for too few."""
    name = shown_path(table)
    if len(texts) < FEWEST_ROWS:
        what = f"{name} has {len(texts)} row(s) with a label that can be evaluated"
        raise UserError(what, f"at least {FEWEST_ROWS}", "name a larger table with --input")
    if schema.task == "regression":
        return np.array(texts, np.float64)
    if len({*texts}) < 2:
        what = f"all {len(texts):,} evaluated rows of {name} are of the class {shown(texts[0])}"
        fix = "name another table with --input, or set a larger eval_share in job.toml"
        raise UserError(what, "rows of two classes or more", fix)
    codes = {value: code for code, value in enumerate(label.classes)}
    return np.array([codes[each] for each in texts], np.int64)


class HeldOut:
    """Raw rows of a table, an Arrow table, and what an exported model predicts for them beside their labels."""

    def __init__(
        self,
        model: Model,
        statistics: Statistics,
        request: Request,
        schema: Schema,
        split: str = "eval",
    ) -> None:
        self.model, self.statistics, self.schema = model, statistics, schema
        self.rows = held_out_rows(request, schema, statistics.label, model.console, split)
        texts = self.rows.column(schema.label).to_pylist()
        labels = labels_of(texts, schema, statistics.label, request.train)
        weights = self.rows.column(WEIGHT).to_numpy()
        names = [name for name in schema.used if name in model.parameters]
        self.columns = {name: self.rows.column(name).combine_chunks() for name in names}
        predictions = self.predicted(self.columns)
        self.scored = Scored(schema.task, labels, predictions, weights / weights.mean())

    def identity(self) -> str:
        """Return a digest of the labels and weights: rows are in the order of their keys, so that others differ somewhere."""
        content = self.scored.labels.tobytes() + self.scored.weights.tobytes()
        return hashlib.sha256(content).hexdigest()

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return numbers, or days of dates, float64 [rows], NaN where missing, or values, object [rows], None where missing."""
        column, schema = self.columns[name], self.schema.raw
        if name not in (*schema.dates, *schema.textual):
            return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
        coded = column.fill_null("").dictionary_encode()
        read, kind = (days, np.float64) if name in schema.dates else (schema.value, object)
        cells = np.array([*map(read, coded.dictionary.to_pylist())], kind)
        return np.asarray(cells[coded.indices])

    def moved(self, name: str, cells: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Return the mean predictions, [cells, outputs], of some rows if each cell in turn is that of all in a column."""
        rows = np.random.default_rng(0).permutation(len(self.rows))[:DEPENDENCE_ROWS]
        tiled = np.tile(rows, len(cells))
        columns = {each: column.take(tiled) for each, column in self.columns.items()}
        repeated = [cell for cell in cells for _ in rows]
        columns[name] = pa.array(repeated, self.columns[name].type)
        found = self.predicted(columns).reshape(len(cells), len(rows), -1)
        return np.asarray(found.mean(axis=1))

    def shuffled(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the predictions for rows whose cells are those of the numbers in `cells`, [rows, columns]."""
        pairs = zip(self.columns.items(), cells.T, strict=True)
        return self.predicted({name: column.take(numbers) for (name, column), numbers in pairs})

    def predicted(self, columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
        """Return probabilities, float64 [rows, classes], or numbers, [rows]; raise `UserError` if they are none."""
        names, rows = tuple(columns), len(next(iter(columns.values())))

        def scores(first: int) -> Any:
            some = {name: column.slice(first, BATCH_ROWS) for name, column in columns.items()}
            all_names = [names] * min(BATCH_ROWS, rows - first)
            batch = Batch("rows", first + 1, all_names, some, self.schema.decimal)
            column = self.model.table(batch).column(SCORES[self.schema.task])
            # Probabilities of several classes are lists.
            return np.stack(column.to_numpy()) if column.type.num_fields else column.to_numpy()

        with ThreadPoolExecutor(self.model.workers) as pool:
            found = np.concatenate([*pool.map(scores, range(0, rows, BATCH_ROWS))]).astype(float)
        check_scores(found, self.schema)
        if self.schema.task == "binary":
            return np.stack([1 - found, found], axis=1)
        # float32 sums to 1 only nearly
        return found / found.sum(axis=1, keepdims=True) if found.ndim > 1 else found
