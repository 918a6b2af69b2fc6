"""Baking a new project with and without its smoke test, with environments that are already built."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import BenchmarkFailed, Sample, alternate, run, spread
from benchmarks.targets import Row, seconds
from benchmarks.workbench import SCRIPTS, Workbench

IMPORTS, SPARE_SECONDS = 1.5, 2.0
SLUG = "census-income"


def p6(bench: Workbench) -> list[Row]:
    """A new project with its smoke test, in a warm environment."""
    # The first smoke test builds the project's environments; baking over the same project reuses them.
    baking(bench, "auto")()
    environments = output_of(bench, "auto") / SLUG / ".nox"
    python = next(environments.glob("runtime-*/bin/python"), None)
    if not python:
        raise BenchmarkFailed(
            f"the smoke test built no environment in {environments}",
            "nox and uv to work in the new project",
            f"run `nox -s smoke` in {output_of(bench, 'auto') / SLUG}",
        )
    samples = alternate(
        {
            "bake, smoke test": baking(bench, "auto"),
            "bake": baking(bench, "skip"),
            "import tensorflow": lambda: run([python, "-c", "import tensorflow"], bench.folder),
        },
        bench.rounds,
    )
    times = {name: seconds(taken) for name, taken in samples.items()}
    limit_seconds = allowed_seconds(times["bake"].median, times["import tensorflow"].median)
    measured = times["bake, smoke test"]
    rows = [Row("P6", name, "s", time) for name, time in times.items()]
    limit = Row(
        "P6",
        "bake + 1.5 imports + 2 s",
        "s",
        spread([limit_seconds]),
        limit_seconds / measured.median,
        1.0,
    )
    return [*rows, limit]


def allowed_seconds(bake: float, tensorflow: float) -> float:
    return bake + IMPORTS * tensorflow + SPARE_SECONDS


def output_of(bench: Workbench, smoke_test: str) -> Path:
    return bench.folder / "outputs" / f"baked-{smoke_test}"


def baking(bench: Workbench, smoke_test: str) -> Callable[[], Sample]:
    """Return a run of cookiecutter with the default answers."""
    python = bench.built("creation", [], SCRIPTS / "ours" / "requirements-creation.txt")
    output = output_of(bench, smoke_test)
    command = [python, "-m", "cookiecutter", bench.template(), "--no-input", "--default-config"]
    command += ["--overwrite-if-exists", "--output-dir", output, f"smoke_test={smoke_test}"]
    return lambda: run(command, bench.folder)
