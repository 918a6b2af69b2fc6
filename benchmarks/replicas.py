"""Two replicas on one machine against one process, at the same global batch size."""

from benchmarks.measure import alternate, run
from benchmarks.targets import Row, inside, reported
from benchmarks.workbench import RUNTIME, SCRIPTS, Workbench

MOST_OVERHEAD = 0.25


def p7(bench: Workbench) -> list[Row]:
    """The step of two local replicas against that of one process, global batch size 8,192."""
    size = (200_000, 16_000) if bench.quick else (1_000_000, 200_000)
    table = bench.table(*size)
    script = [bench.ours(RUNTIME), SCRIPTS / "ours" / "replicas.py", "--data"]
    project = bench.baked(table)
    command = inside([*script, bench.prepared(table)], project)
    samples = alternate(
        {
            "one process": lambda: run([*command, "--replicas", 1], project),
            "two replicas": lambda: run([*command, "--replicas", 2], project),
        },
        bench.rounds,
    )
    one, two = (reported(taken, "step_seconds") for taken in samples.values())
    ratio = one.median / two.median
    return [
        Row("P7", "one process", "s/step", one),
        Row("P7", "two replicas", "s/step", two, ratio, 1 / (1 + MOST_OVERHEAD)),
    ]
