"""The performance targets, one function each: the programs, their comparison, and whether the target is met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.measure import Sample, Spread, alternate, run, spread
from benchmarks.workbench import PREPARE, RUNTIME, SCRIPTS, Table, Workbench

AUC_TOLERANCE = 0.001
LONG_FIT_ROWS = 5_000_000
STREAM_MEMORY_MB = 64
MOST_EXPORT_SECONDS = 0.5
FEW_ROUNDS = 3
SCORE = "mean score"
"""The unit of what benchmarks of accuracy come to: over tables, 1 for the best program of a table and 0 for its worst."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a measurement of a program, and its ratio to ours beside the required ratio."""

    target: str
    name: str
    unit: str
    measured: Spread
    ratio: float | None = None
    required_ratio: float | None = None
    metric: float | None = None
    metric_name: str = "AUC"

    @property
    def met(self) -> bool:
        """Whether the ratio is at least the required one; true if none is required."""
        return self.required_ratio is None or (
            self.ratio is not None and self.ratio >= self.required_ratio
        )


Samples = Mapping[str, Sequence[Sample]]


def seconds(samples: Sequence[Sample]) -> Spread:
    """Return the wall times of complete processes."""
    return spread([sample.seconds for sample in samples])


def reported(samples: Sequence[Sample], key: str) -> Spread:
    """Return a figure that the programs reported themselves."""
    return spread([float(sample.report[key]) for sample in samples])


def slower_rows(target: str, samples: Samples, required: Mapping[str, float]) -> list[Row]:
    """Return rows of wall times; the ratio is the time of the other program divided by ours."""
    ours = seconds(samples["ours"]).median
    rows = []
    for name, taken in samples.items():
        measured = seconds(taken)
        metric = taken[-1].report.get("metric")
        ratio = None if name == "ours" else measured.median / ours
        rows.append(Row(target, name, "s", measured, ratio, required.get(name), metric))
    return rows


def metric_row(target: str, samples: Samples) -> Row:
    """Return the row that compares our AUC with the best of the others."""
    metrics = {name: float(taken[-1].report["metric"]) for name, taken in samples.items()}
    best = max(value for name, value in metrics.items() if name != "ours")
    lead = metrics["ours"] - best + AUC_TOLERANCE
    return Row(target, "AUC above best - 0.001", "AUC", spread([metrics["ours"]]), lead, 0.0)


def p1(bench: Workbench) -> list[Row]:
    """From a CSV file to an exported model, one epoch."""
    if bench.quick:
        return end_to_end(bench, "P1 30k", bench.table(30_000, 16_000), {})
    required = {"estimator": 4.0, "make_csv": 5.0, "lightgbm_trees": 2.0}
    return end_to_end(bench, "P1 1M", bench.table(1_000_000, 200_000), required)


def p1_long(bench: Workbench) -> list[Row]:
    """The same for five million rows."""
    if bench.quick:
        return []
    required = {"estimator": 6.0, "make_csv": 9.0, "lightgbm_trees": 4.0}
    return end_to_end(few_rounds(bench), "P1 5M", bench.table(LONG_FIT_ROWS, 200_000), required)


def few_rounds(bench: Workbench) -> Workbench:
    """Return a workbench with fewer rounds, for programs that take minutes."""
    return replace(bench, rounds=min(bench.rounds, FEW_ROUNDS))


def end_to_end(
    bench: Workbench, target: str, table: Table, required: Mapping[str, float]
) -> list[Row]:
    """Run ours and the peers from the CSV file to the exported model."""
    variants = {
        "ours": bench.prepare_and_train(table, epochs=1),
        "estimator": bench.peer("estimator", "estimator", table, epochs=1),
        "make_csv": bench.peer("make_csv", "keras", table, epochs=1),
        "lightgbm_trees": bench.peer("lightgbm_trees", "trees", table, epochs=1),
        "hist_gradient_boosting": bench.peer("hist_gradient_boosting", "trees", table, epochs=1),
    }
    samples = alternate(variants, bench.rounds)
    return [*slower_rows(target, samples, required), metric_row(target, samples)]


def p2(bench: Workbench) -> list[Row]:
    """A small job, three epochs, on prepared shards as a user runs it."""
    table = bench.table(30_000, 16_000)
    data = bench.prepared(table)
    imported = [bench.ours(RUNTIME), "-c", "import tensorflow"]
    variants: dict[str, Callable[[], Sample]] = {
        "ours": bench.train(table, data, epochs=3),
        "import tensorflow": lambda: run(imported, bench.folder),
        "estimator": bench.peer("estimator", "estimator", table, epochs=3),
        "make_csv": bench.peer("make_csv", "keras", table, epochs=3),
        "feature_space": bench.peer("feature_space", "keras", table, epochs=3),
    }
    samples = alternate(variants, bench.rounds)
    rows = slower_rows("P2", samples, {"estimator": 3, "make_csv": 2, "feature_space": 4})
    rest = seconds(samples["ours"]).median - seconds(samples["import tensorflow"]).median
    return [*rows, Row("P2", "2 s over ours but import", "s", spread([rest]), 2 / rest, 1.0)]


def p3(bench: Workbench) -> list[Row]:
    """The input pipeline alone, streamed in windows."""
    table = bench.table(200_000 if bench.quick else 1_000_000, 16_000 if bench.quick else 200_000)
    data = bench.prepared(table)
    script = SCRIPTS / "ours" / "input.py"
    flags = ("--data", data, "--memory-mb", str(STREAM_MEMORY_MB))
    ours = [bench.ours(RUNTIME), script, *flags]
    peer_flags = ("--schema", table.schema, "--train", table.train, "--max-rows", "100000")
    peer = [bench.environment("keras"), SCRIPTS / "peers" / "make_csv_input.py", *peer_flags]
    project = bench.baked(table)
    samples = alternate(
        {
            "ours": lambda: run(inside(ours, project), project),
            "make_csv": lambda: run(peer, project),
        },
        bench.rounds,
    )
    speeds = {
        name: spread([sample.report["rows"] / sample.report["seconds"] for sample in taken])
        for name, taken in samples.items()
    }
    ratio = speeds["ours"].median / speeds["make_csv"].median
    return [
        Row("P3", "ours", "rows/s", speeds["ours"]),
        Row("P3", "make_csv", "rows/s", speeds["make_csv"], ratio, 50.0),
    ]


def inside(command: Sequence[object], project: Path) -> list[object]:
    """Return a command that runs one of our scripts with the baked package on its path."""
    python, script, *flags = command
    start = f"import runpy, sys; sys.path.insert(0, {str(project)!r}); sys.argv = sys.argv[1:]"
    run_script = f"{start}; runpy.run_path(sys.argv[0], run_name='__main__')"
    return [python, "-c", run_script, script, *flags]


def p4(bench: Workbench) -> list[Row]:
    """The step alone, on encoded arrays in memory."""
    arrays = encoded(bench)
    project = bench.baked(bench.table(30_000, 16_000))
    ours = inside([bench.ours(RUNTIME), SCRIPTS / "ours" / "step.py", "--arrays", arrays], project)
    fit = [bench.environment("keras"), SCRIPTS / "peers" / "keras_step.py", "--arrays", arrays]
    build = ("--build", bench.folder / "outputs")
    kernel = [bench.environment("keras"), SCRIPTS / "kernel" / "kernel.py", "--arrays", arrays]
    stock = ("--jit", "auto", "--steps-per-execution")
    samples = alternate(
        {
            "ours": lambda: run(ours, project),
            "Keras fit": lambda: run([*fit, *stock, "1"], project),
            "Keras fit, 64 steps per execution": lambda: run([*fit, *stock, "64"], project),
            "the same with XLA": lambda: run([*fit, "--steps-per-execution", "64"], project),
            "C kernel": lambda: run([*kernel, *build], project),
        },
        bench.rounds,
    )
    return faster_rows(
        "P4", samples, {"Keras fit": 2.2, "Keras fit, 64 steps per execution": 1.6, "C kernel": 0.5}
    )


def faster_rows(target: str, samples: Samples, required: Mapping[str, float]) -> list[Row]:
    """Return rows of reported speeds; the ratio is our speed divided by that of the other program."""
    speeds = {name: reported(taken, "rows_per_second") for name, taken in samples.items()}
    ours = speeds["ours"].median
    return [
        Row(
            target,
            name,
            "rows/s",
            speed,
            None if name == "ours" else ours / speed.median,
            required.get(name),
        )
        for name, speed in speeds.items()
    ]


def encoded(bench: Workbench) -> Path:
    """Return a file of encoded arrays: random rows, as wide as the synthetic table."""
    rows = 200_000 if bench.quick else 1_000_000
    path = bench.folder / "tables" / f"encoded-{rows}.npz"
    if not path.exists():
        generator = np.random.default_rng(1)
        counts = np.array([9, 16, 7, 15, 6, 5, 2, 42], np.int32)
        codes = np.stack([generator.integers(0, count, rows) for count in counts], axis=1)
        numbers = generator.normal(size=(rows, 6)).astype(np.float32)
        labels = (numbers[:, 0] + codes[:, 3] / 5 + generator.normal(size=rows) > 1.5).astype(
            np.int32
        )
        partial = path.with_suffix(".partial.npz")
        codes = codes.astype(np.int32)
        np.savez(partial, numbers=numbers, codes=codes, labels=labels, counts=counts)
        partial.replace(path)
    return path


def p5(bench: Workbench) -> list[Row]:
    """The preparation, against a plain copy of the file by DuckDB."""
    table = bench.table(
        200_000 if bench.quick else LONG_FIT_ROWS, 16_000 if bench.quick else 200_000
    )
    output = bench.folder / "outputs" / "prepared-p5"
    target = bench.folder / "outputs" / "copy.parquet"
    copy = [bench.ours(PREPARE), SCRIPTS / "ours" / "duckdb_copy.py", table.train, target]
    samples = alternate(
        {"ours": bench.prepare(table, output), "DuckDB copy": lambda: run(copy, bench.folder)},
        bench.rounds,
    )
    return slower_rows("P5", samples, {"DuckDB copy": 0.5})


def p8(bench: Workbench) -> list[Row]:
    """The serving signature: single rows and batches."""
    table = bench.table(30_000, 16_000)
    data = bench.prepared(table)
    bench.train(table, data, epochs=1)()
    exports = export_rows(bench, table, data)
    script = [bench.environment("keras"), SCRIPTS / "ours" / "serve.py", "--table", table.test]
    outputs = bench.folder / "outputs"
    samples = alternate(
        {
            "ours": lambda: run([*script, "--model", outputs / "ours" / "model"], outputs),
            "Keras model.export": lambda: run(
                [*script, "--model", outputs / "keras_serving"], outputs
            ),
        },
        bench.rounds,
    )
    rows = faster_rows("P8", samples, {"Keras model.export": 3.0})
    one = {name: reported(taken, "one_seconds") for name, taken in samples.items()}
    ratio = one["Keras model.export"].median / one["ours"].median
    return [
        *rows,
        Row("P8", "ours, one row", "s", one["ours"]),
        Row("P8", "Keras model.export, one row", "s", one["Keras model.export"], ratio, 1.0),
        *exports,
    ]


def export_rows(bench: Workbench, table: Table, data: Path) -> list[Row]:
    """Return rows of export times; the serving benchmark uses the peer's exported model later."""
    project = bench.baked(table)
    script = [bench.ours(RUNTIME), SCRIPTS / "ours" / "export.py", "--data", data]
    samples = alternate(
        {
            "ours, export": lambda: run(inside(script, project), project),
            "Keras model.export, export": bench.peer("keras_serving", "keras", table, epochs=1),
        },
        bench.rounds,
    )
    ours, peer = (reported(taken, "export_seconds") for taken in samples.values())
    rows = [Row("P8", name, "s", each) for name, each in zip(samples, (ours, peer), strict=True)]
    limit = spread([MOST_EXPORT_SECONDS])
    ratio = MOST_EXPORT_SECONDS / ours.median
    return [*rows, Row("P8", "0.5 s over ours, export", "s", limit, ratio, 1.0)]


TARGETS: dict[str, Callable[[Workbench], list[Row]]] = {
    "P1": p1,
    "P1L": p1_long,
    "P2": p2,
    "P3": p3,
    "P4": p4,
    "P5": p5,
    "P8": p8,
}
