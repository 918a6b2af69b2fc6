"""Scaling of seconds and memory with rows, columns, values per column and replicas, with exponents."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from benchmarks.measure import alternate, run, spread
from benchmarks.targets import Row, few_rounds, inside, reported, seconds
from benchmarks.workbench import RUNTIME, SCRIPTS, Table, Workbench

SEED = 20_240_502
ROWS = (250_000, 1_000_000, 4_000_000)
COLUMNS = (16, 64, 256)
VALUES = (1_000, 10_000, 100_000)
REPLICAS = (1, 2, 4)
WIDE_ROWS, DEEP_ROWS = 50_000, 1_000_000
CARDINAL_COLUMNS = 4


@dataclass(frozen=True)
class Point:
    """One size on an axis, and the table of that size."""

    size: int
    table: Table


def grow(bench: Workbench) -> list[Row]:
    """Scaling with rows, columns, values per column, replicas."""
    if bench.quick:
        return []
    by_rows = [Point(rows, bench.table(rows, 200_000)) for rows in ROWS]
    by_columns = [
        Point(count, random_table(bench, WIDE_ROWS, count // 2, count // 2, values=20))
        for count in COLUMNS
    ]
    by_values = [
        Point(count, random_table(bench, DEEP_ROWS, 1, CARDINAL_COLUMNS, values=count))
        for count in VALUES
    ]
    few = few_rounds(bench)
    return [
        *jobs(few, "rows", by_rows),
        *jobs(few, "columns", by_columns),
        *jobs(few, "values", by_values),
        *replicas(few),
    ]


def jobs(bench: Workbench, axis: str, points: Sequence[Point]) -> list[Row]:
    """Return the seconds and the memory of preparation and of one epoch of training along an axis."""
    prepare, train = {}, {}
    for point in points:
        data = bench.prepared(point.table)
        prepare[point.size] = bench.prepare(point.table, data)
        train[point.size] = bench.train(point.table, data, epochs=1)
    rows = []
    for what, variants in (("prepare", prepare), ("train", train)):
        named = {f"{what}, {size:,} {axis}": run for size, run in variants.items()}
        samples = dict(zip(variants, alternate(named, bench.rounds).values(), strict=True))
        times = {size: seconds(taken) for size, taken in samples.items()}
        memory = {
            size: spread([sample.peak_mb for sample in taken]) for size, taken in samples.items()
        }
        for unit, figures in (("s", times), ("MB", memory)):
            exponents = exponents_of({size: figure.median for size, figure in figures.items()})
            rows += [
                Row("GROW", f"{what}, {size:,} {axis}", unit, figure, exponents.get(size))
                for size, figure in figures.items()
            ]
    return rows


def replicas(bench: Workbench) -> list[Row]:
    """Return the seconds of a step with a fixed global batch size, by number of local processes."""
    table = bench.table(1_000_000, 200_000)
    project = bench.baked(table)
    script = [bench.ours(RUNTIME), SCRIPTS / "ours" / "replicas.py", "--data"]
    command = inside([*script, bench.prepared(table)], project)
    samples = alternate(
        {
            f"step, {count} replicas": partial(run, [*command, "--replicas", count], project)
            for count in REPLICAS
        },
        bench.rounds,
    )
    figures = dict(
        zip(
            REPLICAS,
            (reported(taken, "step_seconds") for taken in samples.values()),
            strict=True,
        )
    )
    exponents = exponents_of({count: figure.median for count, figure in figures.items()})
    return [
        Row("GROW", f"step, {count} replicas", "s", figure, exponents.get(count))
        for count, figure in figures.items()
    ]


def exponents_of(figures: Mapping[int, float]) -> dict[int, float]:
    """Return by size the exponent relative to the size before: 1 is linear, 0 is constant."""
    sizes = list(figures)
    return {
        size: math.log(figures[size] / figures[before]) / math.log(size / before)
        for before, size in itertools.pairwise(sizes)
    }


def random_table(bench: Workbench, rows: int, numeric: int, categorical: int, values: int) -> Table:
    """Return a random table; its label depends on one numeric and one categorical column."""
    folder = bench.folder / "tables" / f"random-{rows}-{numeric}-{categorical}-{values}"
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"n{index}" for index in range(numeric)], [f"c{index}" for index in range(categorical)]
    table = Table(
        folder.name, folder / "train.csv", folder / "test.csv", folder / "schema.json", rows
    )
    schema = {"task": "binary", "label": "label", "positive": "yes"}
    kinds = {"numeric": names[0], "categorical": names[1]}
    table.schema.write_text(json.dumps({**schema, **kinds}))
    for number, (path, count) in enumerate(
        ((table.train, rows), (table.test, max(1_000, rows // 50)))
    ):
        if not path.exists():
            write_random_table(path, count, *names, values, seed=[SEED, number])
    return table


def write_random_table(
    path: Path,
    rows: int,
    numeric: Sequence[str],
    categorical: Sequence[str],
    values: int,
    seed: Sequence[int],
) -> None:
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=rows).astype(np.float32) for name in numeric}
    codes = {name: generator.integers(0, values, rows) for name in categorical}
    texts = pa.array([f"value-{code:06d}" for code in range(values)])
    score = columns[numeric[0]] + codes[categorical[0]] * 2 / values - 1
    label = np.where(score + generator.normal(size=rows) > 0, "yes", "no")
    arrays = {
        **columns,
        **{name: texts.take(pa.array(column)) for name, column in codes.items()},
        "label": label,
    }
    partial = path.with_suffix(".partial")
    pa_csv.write_csv(pa.table(arrays), partial)
    partial.replace(path)
