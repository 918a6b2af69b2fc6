"""Statistics of the training rows: boundaries, vocabularies, classes."""

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.schema import Schema
from trainer.data.statistics import (
    MISSING_CODE,
    UNSEEN_CODE,
    Label,
    Numeric,
    Statistics,
    vocabulary_codes,
)
from trainer.preprocessing import cell_sql, sql
from trainer.preprocessing.columns import cells_table, number_column
from trainer.preprocessing.engine import Engine
from trainer.preprocessing.farmhash import fingerprint64
from trainer.preprocessing.provenance import Request
from trainer.run.errors import UserError, shown

SAMPLE_ROWS = 200_000
FEWEST_ROWS_PER_VALUE = 2
SPIKE_SHARE = 0.3
HASH_BATCH = 100_000


def analyze(
    engine: Engine, request: Request, schema: Schema, label: Label, rejected: int
) -> Statistics:
    """Return the statistics of the table `prepared`, yet without fingerprint; raise `UserError` for an empty split."""
    rows = split_rows(engine, request)
    known = vocabularies(engine, schema)
    return Statistics(
        rows=rows,
        rejected=rejected,
        label=label,
        numeric=numeric_statistics(engine, schema, rows["train"]),
        vocabularies={name: tuple(values) for name, values in known.items()},
        hashed=schema.buckets,
        fingerprint="",
        counts=code_counts(engine, schema, known, rows["train"]),
    )


def split_rows(engine: Engine, request: Request) -> dict[str, int]:
    """Return the number of rows by split, training first; raise `UserError` if one has none."""
    query = "SELECT split, COUNT(*) FROM prepared GROUP BY split"
    counted = dict(engine.rows(query))
    other = "give a larger table, or another eval_share in job.toml"
    remedies = dict.fromkeys(("train", "eval"), other)
    if request.test or "test" in counted:
        remedies["test"] = (
            "give it rows with labels that training has, or remove `test` from job.toml"
        )
    if not counted:
        remedies["train"] = "correct LABEL, LABEL_SQL or MISSING in trainer/features.py"
    for split, remedy in remedies.items():
        if not counted.get(split):
            raise UserError(
                f"the {split} split has no rows that can be used ({sum(counted.values()):,} in all)",
                "at least one row to train on and one to evaluate on",
                remedy,
            )
    return {split: counted[split] for split in remedies}


def label_statistics(engine: Engine, schema: Schema, weighted: bool = False) -> Label:
    """Return the classes of the training rows, the positive one last, or mean and deviation of a number.

    Rows that are `weighted` count as often as their weights say.
    """
    if schema.task == "regression":
        number = cell_sql.cast("label")
        query = f"SELECT AVG({number}), STDDEV_POP({number}) FROM prepared WHERE split = 'train'"
        [(mean, deviation)] = engine.rows(query)
        if not deviation:
            raise one_value(schema, str(mean))
        if weighted:
            [(mean, deviation)] = engine.rows(sql.weighted_moments())
        return Label((), (), *stable(mean, deviation))
    counted = dict(engine.rows(sql.class_counts("train")))
    classes = sorted(counted)
    check_classes(classes, schema)
    if schema.task == "binary":
        classes.sort(key=lambda value: value == schema.positive)
    if weighted:
        counted = dict(engine.rows(sql.class_counts("train", "SUM(weight)")))
        counted = {value: seven_digits(weights) for value, weights in counted.items()}
    return Label(tuple(classes), tuple(counted[value] for value in classes), 0.0, 1.0)


def check_classes(classes: Sequence[str], schema: Schema) -> None:
    listed = ", ".join(map(shown, classes[:8])) + (" …" if len(classes) > 8 else "")
    if len(classes) < 2:
        raise one_value(schema, listed)
    if schema.task == "binary" and (len(classes) > 2 or schema.positive not in classes):
        near = difflib.get_close_matches(schema.positive, classes, n=1, cutoff=0.3) or classes[-1:]
        many = 'write TASK = "multiclass", or LABEL_SQL that gives two classes'
        raise UserError(
            f"the label {shown(schema.label)} has the classes {listed}; POSITIVE is {shown(schema.positive)}",
            "two classes, one of them POSITIVE",
            f"{many if len(classes) > 2 else f'write POSITIVE = {shown(near[0])}'} in trainer/features.py",
        )


def one_value(schema: Schema, value: str) -> UserError:
    return UserError(
        f"the label {shown(schema.label)} has one value in the training rows: {value}",
        "at least two values",
        "name another LABEL in trainer/features.py, or give a larger table",
    )


def numeric_statistics(engine: Engine, schema: Schema, train_rows: int) -> dict[str, Numeric]:
    if not schema.numeric:
        return {}
    [values] = engine.rows(sql.summary(schema))
    sample = engine.batches(sql.sample(schema, SAMPLE_ROWS / train_rows)).read_all()
    result = {}
    for index, name in enumerate(schema.numeric):
        minimum, maximum, *moments, missing = values[5 * index : 5 * index + 5]
        mean, deviation = stable(*moments)
        column = sample.column(number_column(index)).to_numpy()
        known = column[np.isfinite(column)]
        whole = Numeric(
            minimum=minimum or 0.0,
            maximum=maximum or 0.0,
            mean=mean,
            deviation=deviation,
            missing=missing,
            boundaries=boundaries(known, schema.boundaries),
        )
        counts = np.bincount(whole.bins(known), minlength=len(whole.boundaries) + 1)
        shares = counts / max(len(known), 1)
        result[name] = dataclasses.replace(whole, shares=tuple(shares.round(6).tolist()))
    return result


def stable(mean: float | None, deviation: float | None) -> tuple[float, float]:
    """Return mean and deviation without the last digits, which depend on the order in which threads add."""
    mean, deviation = mean or 0.0, deviation or 1.0
    places = 6 - math.floor(math.log10(max(abs(mean), deviation)))
    return round(mean, places), seven_digits(deviation)


def seven_digits(number: float) -> float:
    return float(f"{number:.7g}")


def boundaries(values: npt.NDArray[np.float64], count: int) -> tuple[float, ...]:
    """Return at most `count` rising boundaries at the quantiles of `values`, shape [n].

    A value in many rows, such as 0, would take most quantiles: it gets a boundary of its own, and the quantiles are those
    of the other values.
    """
    if not values.size:
        return (0.0, 1.0)
    unique, counts = np.unique(values, return_counts=True)
    spikes = unique[counts > SPIKE_SHARE * values.size]
    rest = values[~np.isin(values, spikes)]
    chosen = np.quantile(rest, np.linspace(0, 1, count)) if rest.size else unique[:0]
    edges = np.unique(np.concatenate([chosen, spikes]).astype(np.float32))
    if edges.size < 2:
        edges = np.array([edges[0], np.nextafter(edges[0] + 1, np.inf)], np.float32)
    return tuple(float(edge) for edge in edges)


def vocabularies(engine: Engine, schema: Schema) -> dict[str, dict[str, int]]:
    """Return the rows of each value of each categorical column that is in more than one training row, frequent first."""
    result = {}
    for index, name in enumerate(schema.vocabulary):
        counted = engine.rows(sql.value_counts(cells_table(index), schema.vocabulary_limit))
        result[name] = {k: int(rows) for k, rows in counted if rows >= FEWEST_ROWS_PER_VALUE}
    return result


def code_counts(
    engine: Engine, schema: Schema, known: Mapping[str, Mapping[str, int]], rows: int
) -> dict[str, tuple[int, ...]]:
    """Return `Statistics.counts`; of a hashed column, whose vocabulary is empty, the rows with and without a value."""
    result = {}
    for index, name in enumerate(schema.coded):
        query = f"SELECT IFNULL(SUM(train_rows), 0) FROM {cells_table(index)} WHERE value IS NULL"
        [(missing,)], counts = engine.rows(query), known.get(name, {}).values()
        result[name] = (int(missing), rows - int(missing) - sum(counts), *counts)
    return result


def cell_codes(engine: Engine, cells: str, name: str, statistics: Statistics) -> tuple[Any, Any]:
    """Return the cells of a coded column, from their table, and the codes that SQL would give them, as Arrow arrays."""
    from pyarrow import array, int32, string

    if buckets := statistics.hashed.get(name):
        coded = engine.rows(sql.hashed_codes(cells, buckets))
    else:
        known = vocabulary_codes(statistics.vocabularies[name])
        coded = [
            (cell, MISSING_CODE if value is None else known.get(value, UNSEEN_CODE))
            for cell, value in engine.rows(f"SELECT cell, value FROM {cells}")
        ]
    return array([cell for cell, _ in coded], string()), array([code for _, code in coded], int32())


def word_codes(texts: Any, words: int, buckets: int) -> Any:
    """Return the codes of the first `words` words of texts, an Arrow array of lists: int32, 0 behind the last word."""
    from pyarrow import FixedSizeListArray, array, compute, int32

    cut = compute.list_slice(texts.combine_chunks(), 0, words, return_fixed_size_list=True)
    found = cut.flatten().dictionary_encode()
    codes = array([word_code(word, buckets) for word in found.dictionary.to_pylist()], int32())
    return FixedSizeListArray.from_arrays(codes.take(found.indices).fill_null(0), words)


@lru_cache(HASH_BATCH)
def word_code(word: str, buckets: int) -> int:
    return 1 + fingerprint64(word) % buckets if word else 0


def create_code_table(engine: Engine, name: str, codes: Mapping[str, int]) -> None:
    """Create the table `name(value, code)`."""
    import pyarrow

    engine.run(f"CREATE TABLE {name} (value STRING, code INT64)")
    columns = {
        "value": pyarrow.array(list(codes), pyarrow.string()),
        "code": pyarrow.array(list(codes.values()), pyarrow.int64()),
    }
    engine.put(name, pyarrow.table(columns))
