"""Raw rows to evaluate on: those that preparation keeps of a table, with their labels, as `predict` takes them."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.data.cells import date_of
from trainer.data.schema import Schema
from trainer.data.statistics import Label
from trainer.preprocessing import sql
from trainer.preprocessing.columns import number_column, text_column
from trainer.preprocessing.pipeline import Preparation
from trainer.preprocessing.provenance import Request
from trainer.preprocessing.raw_table import open_table
from trainer.run.console import Console

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
        preparation = Preparation(alone, schema, console, Path(folder))
        try:
            preparation.read_table("train", open_table(request.train, schema, "train"))
            if request.eval_share < WHOLE:
                preparation.split_train_table()
            preparation.drop_unknown_labels(label)
            numbers = map(number_column, range(len(schema.numeric)))
            texts = map(text_column, range(len(schema.textual)))
            weight = "weight" if request.weight else "CAST(1 AS FLOAT64)"
            columns = ", ".join([*numbers, *texts, "label", weight])
            rows_of = f"prepared WHERE split = {sql.literal(split)}"
            query = f"SELECT {columns} FROM {rows_of} ORDER BY row_key"
            # The connection has a result that was not read to its end.
            cursor = preparation.connection.cursor()
            rows = cursor.sql(sql.in_duckdb(query)).to_arrow_table()
        finally:
            preparation.connection.close()
    rows = rows.rename_columns([*schema.numeric, *schema.textual, schema.label, WEIGHT])
    for name in schema.dates:
        rows = rows.set_column(rows.column_names.index(name), name, [dates(rows.column(name))])
    return rows


def dates(days: Any) -> Any:
    """Return dates in text, null where missing, of an Arrow column of days since 1970-01-01."""
    import pyarrow as pa

    coded = days.combine_chunks().dictionary_encode()
    texts = [date_of(each) for each in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)
