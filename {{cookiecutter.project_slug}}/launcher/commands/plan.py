"""`nox -s plan`: what the job would take, here and on each tier, before it starts."""

import functools
import os
import re
import resource
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher.checks.machines import pool_problems
from launcher.checks.problem import findings_at
from launcher.commands.prepare import fetch_tables
from launcher.commands.session import Session
from launcher.console import Refused, UserError
from launcher.contract import METRICS, PLAN_MODULE, TASK_MODULE
from launcher.files import read_json
from launcher.packaging.environment import Environment
from launcher.spec.catalog import Tier, kind_of
from launcher.spec.job_file import argument_flags
from launcher.subprocesses import clean_variables, run_captured

FIRST_STEPS, MORE_STEPS, MOST_STEPS = 16, 144, 4096
"""Of the runs that are timed: several, because the first step of a run is slower than the others."""
TIMED_SECONDS = 2.0
"""What the steps of the longest run take, at least, if they are not too many."""
SMALLER = 4
"""How many times smaller the second batch is: what each of as many replicas computes."""
NETWORK_BYTES_PER_SECOND, HOP_SECONDS = 1e9, 1e-4
"""Assumed of the network between machines of one region; not measured."""
ASSUMED = "1 GB/s and 0.1 ms from machine to machine; virtual cores as fast as those here"
LONG_SECONDS, SHORTEST_SECONDS = 3600.0, 1e-9
LARGEST_ERROR = 0.3
"""With a larger one nothing is said of tables many times as large."""


@dataclass(frozen=True)
class Line:
    """Seconds as a straight line of a size, fitted to measurements."""

    fixed: float
    each: float
    error: float
    """The largest relative difference from a measurement."""

    def at(self, size: float) -> float:
        return max(0.0, self.fixed) + self.each * size


@dataclass(frozen=True)
class Plan:
    """What was measured: the table by trainer.plan, preparation by its rows, training by its steps."""

    table: Mapping[str, Any]
    prepare: Line
    start_seconds: float
    """What is not a step: the imports, two evaluations and the export."""
    step_error: float
    step: Line
    """A step, by the rows of its batch."""
    weight_bytes: int
    memory_mb: float

    @property
    def steps(self) -> int:
        settings = self.table["settings"]
        steps = settings["epochs"] * -(-self.table["train_rows"] // settings["batch_size"])
        return int(min(steps, settings["max_steps"] or steps))

    def step_seconds(self, cores: float, replicas: int) -> float:
        """Return the seconds of a step on machines with `cores` times those of this one."""
        own = self.step.at(self.table["settings"]["batch_size"] / replicas / cores)
        return own + self.exchange_seconds(replicas)

    def exchange_seconds(self, replicas: int) -> float:
        """Return the seconds in which a ring of replicas adds up gradients: each part passes every machine twice."""
        hops = 2 * (replicas - 1)
        return hops * (self.weight_bytes / replicas / NETWORK_BYTES_PER_SECOND + HOP_SECONDS)


def plan(session: Session) -> int:
    project, data = session.project, session.job.data
    if data.train.startswith("bq://"):
        what = f"job.toml [data] train is {data.train}"
        fix = "name an export of some of its rows"
        raise UserError(what, "files, because a plan is measured on this machine", fix)
    session.check()
    with_machines = {name: tier for name, tier in session.job.tiers.items() if tier}
    timed = {name: tier for name, tier in with_machines.items() if kind_of(tier) == "cpu"}
    if findings := [*wrong_machines(timed)]:
        raise Refused(findings)
    fetch_tables(project, session.job, session.console)
    folder = project.folder / ".nox" / "samples"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        found = measured(session, folder)
    finally:
        shutil.rmtree(folder)
    session.console.table((), [*facts(found)])
    print()
    session.console.table(("tier", "machines", "step", "training"), [*tiers(timed, found)])
    print()
    others = ", ".join(name for name in with_machines if name not in timed)
    notes = [("assumed", ASSUMED), ("unknown", f"accelerators, which are not here: {others}")]
    free_bytes = shutil.disk_usage(project.folder).free
    session.console.table((), [*limits(found, free_bytes), *notes])
    return 0


def wrong_machines(timed: Mapping[str, Tier]) -> Iterator[UserError]:
    """Yield what is wrong with the machines of every tier: the check of the job looks at its own alone."""
    for name, tier in timed.items():
        for pool, machines in tier.items():
            yield from findings_at(f"scale tier {name}, {pool}: ", pool_problems(machines, ""))


def measured(session: Session, folder: Path) -> Plan:
    project, data = session.project, folder / "data"
    flags = [*argument_flags(session.job.arguments), *session.arguments]
    session.console.step("plan", "preparing samples of the table")
    result = folder / "table.json"
    sources = project.preparation_flags(session.job.data, in_place=False)
    output = ["--output", str(data), "--result", str(result), "--quiet"]
    run_quietly(session, project.preparation, PLAN_MODULE, *sources, *output, "--", *flags)
    table = read_json(result)
    session.console.step("plan", f"timing four short runs on {os.cpu_count()} cores")
    batch = table["settings"]["batch_size"]
    small = max(1, batch // SMALLER)
    run = functools.partial(timed_run, session, folder, flags)
    runs = [run(batch, FIRST_STEPS), run(batch, MORE_STEPS)]
    most = int(TIMED_SECONDS / fitted(runs).each)
    steps = min(max(most, 2 * MORE_STEPS), MOST_STEPS)
    runs.append(run(batch, steps))
    first, other = fitted(runs), run(small, steps)
    less = max(0.0, other[1] - max(0.0, first.fixed)) / other[0]
    model = folder / "run" / "model" / "variables"
    return Plan(
        table,
        fitted(table["prepared"]),
        statistics.fmean(each[2] for each in (*runs, other)),
        first.error,
        fitted([(batch, first.each), (small, min(less, first.each))]),
        sum(each.stat().st_size for each in model.iterdir()),
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    )


def timed_run(
    session: Session, folder: Path, flags: Sequence[str], batch: int, steps: int
) -> tuple[int, float, float]:
    """Train a number of steps on the sample; return that number, the seconds of the steps, and the other seconds."""
    job_dir = folder / "run"
    shutil.rmtree(job_dir, ignore_errors=True)
    limits = ["--batch-size", str(batch), "--max-steps", str(steps), "--epochs", str(steps)]
    where = ["--data-dir", str(folder / "data"), "--job-dir", str(job_dir), "--quiet"]
    run_quietly(session, session.project.training, TASK_MODULE, *flags, *where, *limits)
    metrics = read_json(job_dir / METRICS)
    seconds = metrics["steps"] * batch / metrics["rows_per_second"]
    return metrics["steps"], seconds, metrics["wall_seconds"] - seconds


def run_quietly(session: Session, environment: Environment, module: str, *flags: str) -> None:
    """Run a module; show what it prints only if it fails, because a short run warns of what a longer one does not."""
    command = session.command(environment, module, *flags)
    variables = clean_variables(PYTHONSAFEPATH="1")
    code, output = run_captured(command, session.project.folder, variables)
    if code:
        print(output, end="", file=sys.stderr)
        what = f"python -m {module} ended with exit code {code} on a sample of the table"
        raise UserError(what, "a table that can be prepared and trained on", "see the error above")


def fitted(points: Sequence[Sequence[float]]) -> Line:
    """Return the line nearest to sizes and seconds, which are the first two numbers of each point."""
    sizes, seconds = zip(*((size, seconds) for size, seconds, *_ in points), strict=True)
    if len({*sizes}) == 1:  # a table that is too small for several samples
        return Line(statistics.fmean(seconds), 0.0, 0.0)
    each, fixed = statistics.linear_regression(sizes, seconds)
    line = Line(fixed, max(each, SHORTEST_SECONDS), 0.0)
    errors = (abs(line.at(size) / took - 1) for size, took, *_ in points if took)
    return replace(line, error=max(errors, default=1.0))


def facts(found: Plan) -> Iterator[tuple[str, str]]:
    table, settings = found.table, found.table["settings"]
    rows, share = table["rows"], table["share"]
    number = f"{rows:,}" if share == 1 else f"about {count(rows)}"
    source = "all of it prepared" if share == 1 else f"estimated from {share:.1%} of it"
    yield "table", f"{size(table['table_bytes'])}, {number} rows; {source}"
    took = found.prepare
    error = f"; error of the fit {took.error:.0%}" * bool(took.each)
    yield "prepare", f"{span(took.at(rows))} here{error}"
    members = f", {settings['ensemble']} members" * (settings["ensemble"] > 1)
    text = f"{found.steps:,} steps in {settings['epochs']} epochs, batches of {settings['batch_size']:,} rows{members}"
    yield "training", f"quality {settings['quality']}: {text}"
    arrays = 2 * table["array_bytes_per_row"] * table["train_rows"]
    held = min(arrays, settings["memory_mb"] * 2**20)
    yield "memory", f"{found.memory_mb:,.0f} MB here, and up to {size(held)} of rows per replica"
    yield "reads", f"{size(table['shard_bytes_per_row'] * rows)} of shards in each epoch"
    yield "exchange", f"{size(2 * found.weight_bytes)} per step and replica, of several replicas"


def tiers(timed: Mapping[str, Tier], found: Plan) -> Iterator[tuple[str, str, str, str]]:
    here = os.cpu_count() or 1
    own = found.step_seconds(1, 1)
    yield "here", f"{here} cores", f"{own * 1e3:.1f} ms", training(found, own)
    for name, tier in timed.items():
        machines = " + ".join(f"{pool.replicas} {pool.machine}" for pool in tier.values())
        step = found.step_seconds(cores(tier) / here, sum(p.replicas for p in tier.values()))
        yield name, machines, f"{step * 1e3:.1f} ms", training(found, step)


def training(found: Plan, step_seconds: float) -> str:
    seconds = found.start_seconds + found.steps * step_seconds
    return f"{span(seconds)} ± {max(found.step_error, 0.01):.0%}"


def cores(tier: Tier) -> int:
    """Return the smallest number of virtual cores of a tier's machines, the last number of their names."""
    return min(int(re.findall("[0-9]+", pool.machine)[-1]) for pool in tier.values())


def limits(found: Plan, free_bytes: int) -> Iterator[tuple[str, str]]:
    """Yield what a table some times as large would meet, and from how many rows on."""
    table = found.table
    rows = table["rows"]
    row_bytes = table["text_bytes"] / rows + table["shard_bytes_per_row"]
    yield "disk", f"{size(free_bytes)} free: enough for {count(free_bytes / row_bytes)} rows"
    if found.prepare.each and found.prepare.error < LARGEST_ERROR:
        hour = (LONG_SECONDS - max(0.0, found.prepare.fixed)) / found.prepare.each
        yield "prepare", f"takes an hour here from {count(hour)} rows on"
    yield "memory", f"beyond {count(table['window_rows'])} rows an epoch is shuffled in windows"
    replicas = most_useful(found)
    yield "replicas", f"beyond {replicas}, exchanging weights takes longer than what it saves"


def most_useful(found: Plan) -> int:
    """Return the largest power of two of replicas, as fast as this machine, that is faster than half of them."""
    replicas = 1
    while found.step_seconds(1, 2 * replicas) < found.step_seconds(1, replicas):
        replicas *= 2
    return replicas


def count(number: float) -> str:
    for unit in ("", " thousand", " million"):
        if number < 1000:
            return f"{float(f'{number:.2g}'):,g}{unit}"
        number /= 1000
    return f"{float(f'{number:.2g}'):,g} billion"


def size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
