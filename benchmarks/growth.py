"""Memory of the input pipeline and of the preparation by number of rows, and the input's share of the step time."""

from collections.abc import Callable

from benchmarks.measure import Sample, Spread, alternate, run, spread
from benchmarks.targets import STREAM_MEMORY_MB, Row, few_rounds, inside, reported
from benchmarks.workbench import RUNTIME, SCRIPTS, Table, Workbench

FLAT = 1 / 1.1  # memory grows by less than 10 %
STEPS_PER_INPUT = 10.0  # the input takes at most 10 % of the step time
QUICK_ROWS = (200_000, 400_000)
INPUT_ROWS, PREPARE_ROWS = (1_000_000, 20_000_000), (5_000_000, 20_000_000)
QUICK_STREAM_MEMORY_MB = 16


def p3_memory(bench: Workbench) -> list[Row]:
    """The input's memory from a million rows to twenty, and its share of the step time."""
    tables = tables_of(bench, INPUT_ROWS)
    samples = alternate(
        {shown(table.rows): streaming(bench, table) for table in tables}, few_rounds(bench).rounds
    )
    small, large = samples.values()
    speed = spread([sample.report["rows"] / sample.report["seconds"] for sample in small])
    trained = bench.train(tables[0], bench.prepared(tables[0]), epochs=1)()
    share = speed.median / float(trained.report["rows_per_second"])
    used = reported(large, "input_mb")
    budget = memory_mb(bench) / used.high
    return [
        *growth_rows(
            "P3M", {name: reported(taken, "peak_mb") for name, taken in samples.items()}, FLAT
        ),
        Row("P3M", "input over imports", "MB", used, budget, 1.0),
        Row("P3M", "input against our training", "rows/s", speed, share, STEPS_PER_INPUT),
    ]


def p5_memory(bench: Workbench) -> list[Row]:
    """The preparation's memory from five million rows to twenty."""
    tables = tables_of(bench, PREPARE_ROWS)
    samples = alternate(
        {
            shown(table.rows): bench.prepare(table, bench.folder / "outputs" / "prepared-p5")
            for table in tables
        },
        few_rounds(bench).rounds,
    )
    # Small tables stay below the memory limit, so memory still grows with the rows.
    required = None if bench.quick else FLAT
    found = {name: spread([sample.peak_mb for sample in taken]) for name, taken in samples.items()}
    return growth_rows("P5M", found, required)


def growth_rows(target: str, megabytes: dict[str, Spread], required: float | None) -> list[Row]:
    """Return a row for the small and one for the large table, whose ratio is small / large memory."""
    (small, first), (large, second) = megabytes.items()
    ratio = first.median / second.median
    return [
        Row(target, small, "MB", first),
        Row(target, large, "MB", second, ratio, required),
    ]


def tables_of(bench: Workbench, sizes: tuple[int, int]) -> list[Table]:
    tests = 16_000 if bench.quick else 200_000
    return [bench.table(rows, tests) for rows in (QUICK_ROWS if bench.quick else sizes)]


def shown(rows: int) -> str:
    return f"{rows:,} rows"


def memory_mb(bench: Workbench) -> int:
    """Return the input's memory limit, which is too small for the rows of either table."""
    return QUICK_STREAM_MEMORY_MB if bench.quick else STREAM_MEMORY_MB


def streaming(bench: Workbench, table: Table) -> Callable[[], Sample]:
    """Return a run of the input pipeline alone."""
    project = bench.baked(table)
    flags = ("--data", bench.prepared(table), "--memory-mb", memory_mb(bench))
    command = inside([bench.ours(RUNTIME), SCRIPTS / "ours" / "input.py", *flags], project)
    return lambda: run(command, project)
