"""Accuracy on real tables: ours against libraries for tables, all with their own defaults, over fixed splits."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from benchmarks.measure import run, spread
from benchmarks.tables import SOURCES, Source, splits_of
from benchmarks.targets import SCORE, Row
from benchmarks.workbench import PEERS, PREPARE, REPOSITORY, RUNTIME, Table, Workbench

OURS = "ours"
ERRORS = {"regression": "RMSE", "binary": "1 - AUC", "multiclass": "share wrong"}
QUALITIES = {OURS: "default", "ours, fast": "fast", "ours, best": "best"}
QUICK_SPLITS, QUICK_ROWS = 2, 5_000
PEER_ROWS = {"trees": 10**9, "networks": 10_000}  # the most training rows that a peer's script gets
PROGRAMS, QUICK_PROGRAMS = (*QUALITIES.values(), *PEER_ROWS), ("default", "trees")
OUR_CODE = REPOSITORY / "{{cookiecutter.project_slug}}" / "trainer"
PEER_CODE = [
    PEERS / f"{name}.py" for name in ("one_split", "table", "hist_gradient_boosting", "split_table")
]
NOISE = 2.0  # standard errors of the difference
HEADINGS = f"{'score':>7s}{'rank':>7s}{'our wins':>10s}{'losses':>8s}{'seconds':>9s}"

Result = dict[str, float]  # error, seconds
Errors = Mapping[str, Sequence[float]]  # of each program, one a split


def accuracy(bench: Workbench) -> list[Row]:
    """Error on the tables that settings are chosen by; -- --quick: two splits of those below 5,000 rows."""
    return compared(bench, "accuracy", [source for source in SOURCES if not source.closing])


def closing(bench: Workbench) -> list[Row]:
    """Error on the tables that are looked at when settings are chosen, and decide nothing."""
    return compared(bench, "closing", [source for source in SOURCES if source.closing])


def compared(bench: Workbench, target: str, sources: Sequence[Source]) -> list[Row]:
    """Return a row for each table and program, small tables first; print what they come to, also when stopped.

    A result is kept when it is there, so that another call continues after the last one.
    """
    found: dict[str, dict[str, list[Result]]] = {}
    rows = []
    tables = {source: splits_of(bench, source) for source in sources}
    try:
        for source in sorted(sources, key=lambda each: tables[each][0].rows):
            splits = tables[source][: QUICK_SPLITS if bench.quick else None]
            if bench.quick and splits[0].rows > QUICK_ROWS:
                continue
            results = [split(bench, source, *each) for each in enumerate(splits)]
            found[source.name] = by_program(results)
            print(f"  {source.name:14s}{shown(found[source.name])}", flush=True)
            rows += rows_of(target, source, found[source.name])
    finally:
        for lines in summaries(found):
            print("\n".join(lines), flush=True)
    return rows + mean_scores(target, found)


def mean_scores(target: str, found: Mapping[str, Mapping[str, Sequence[Result]]]) -> list[Row]:
    """Return a row with the mean score of each program that ran on all tables, for the chart."""
    errors = [
        {k: [one["error"] for one in v] for k, v in table.items()} for table in found.values()
    ]
    programs = [name for name in (errors or [{}])[0] if all(name in table for table in errors)]
    scores = [score({name: table[name] for name in programs}) for table in errors]
    return [Row(target, k, SCORE, spread([fmean(each[k] for each in scores)])) for k in programs]


def rows_of(target: str, source: Source, found: Mapping[str, Sequence[Result]]) -> list[Row]:
    """Return a row for each program."""
    return [
        Row(
            target,
            f"{source.name} {name}",
            ERRORS[source.task],
            spread([one["error"] for one in results]),
        )
        for name, results in found.items()
    ]


def by_program(splits: Sequence[Mapping[str, Result]]) -> dict[str, list[Result]]:
    return {name: [split[name] for split in splits] for name in splits[0]}


def shown(results: Mapping[str, Sequence[Result]]) -> str:
    means = {name: fmean(one["error"] for one in each) for name, each in results.items()}
    return "  ".join(f"{name} {mean:.4g}" for name, mean in means.items())


def split(bench: Workbench, source: Source, number: int, table: Table) -> dict[str, Result]:
    """Return the results of all programs on one split."""
    found: dict[str, Result] = {}
    if wanted := {k: v for k, v in QUALITIES.items() if v in bench.programs}:
        code = digest(source, *sorted(OUR_CODE.rglob("*.py")))
        with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
            data = prepared(bench, table, Path(folder) / "data")
            for name, quality in wanted.items():
                flags = ("--quality", quality, "--seed", number + 1)
                train = partial(trained, bench, source, table, data, flags)
                found[name] = kept(bench, f"{source.name}-{number}-{quality}", code, train)
    for name, most_rows in PEER_ROWS.items():
        if name in bench.programs and table.rows <= most_rows:
            script, libraries = PEERS / f"{name}.py", PEERS / f"requirements-{name}.txt"
            code = digest(source, script, libraries, *PEER_CODE)
            fit = partial(fitted, bench, script, table, number)
            found |= kept(bench, f"{source.name}-{number}-{name}", code, fit)
    return found


def kept(bench: Workbench, name: str, code: str, compute: Callable[[], Any]) -> Any:
    """Return the result of an earlier call of the same code, or compute and keep it."""
    path = bench.folder / "accuracy" / f"{name}.json"
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if earlier["code"] == code:
            return earlier["result"]
    result = compute()
    path.parent.mkdir(exist_ok=True)
    partial_path = path.with_suffix(".partial")
    partial_path.write_text(json.dumps({"code": code, "result": result}), encoding="utf-8")
    partial_path.replace(path)
    return result


def digest(source: Source, *paths: Path) -> str:
    """Return a digest of how a table is read and of some files."""
    found = hashlib.sha256(repr(source).encode())
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def prepared(bench: Workbench, table: Table, data: Path) -> Callable[[], Path]:
    """Return what prepares the rows of a split in a folder, once, and returns that."""

    @cache
    def prepare() -> Path:
        paths = ("--train", table.train, "--test", table.test, "--output", data)
        run([bench.ours(PREPARE), "-m", "trainer.prepare", *paths, "--quiet"], bench.baked(table))
        return data

    return prepare


def trained(
    bench: Workbench,
    source: Source,
    table: Table,
    data: Callable[[], Path],
    flags: Sequence[object],
) -> Result:
    """Return the error on the test rows of one split, and the seconds of the process that trains and exports."""
    output = bench.folder / "outputs" / "accuracy-run"
    shutil.rmtree(output, ignore_errors=True)
    command = [bench.ours(RUNTIME), "-m", "trainer.task", "--data-dir", data(), "--job-dir", output]
    sample = run([*command, "--quiet", *flags], bench.baked(table))
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return {"error": error_of(source.task)(metrics), "seconds": sample.seconds}


def fitted(bench: Workbench, script: Path, table: Table, number: int) -> dict[str, Result]:
    """Return error and seconds of fitting of each peer that a script has, on one split."""
    command = [bench.environment(script.stem), script, table.train.parent, number]
    return dict(run(command, bench.folder).report)


def error_of(task: str) -> Callable[[Mapping[str, float]], float]:
    """Return what makes an error, of which less is better, of the metrics of a run."""
    return {
        "regression": lambda metrics: metrics["rmse"],
        "binary": lambda metrics: 1 - metrics["auc"],
        "multiclass": lambda metrics: 1 - metrics["accuracy"],
    }[task]


def summaries(found: Mapping[str, Mapping[str, Sequence[Result]]]) -> Iterator[list[str]]:
    """Yield the summary of the programs that ran on all tables, then those of the tables that more programs ran on."""
    sets: dict[frozenset[str], None] = {frozenset[str]().union(*found.values()): None}
    sets |= {frozenset(results): None for results in found.values()}
    for programs in sorted(sets, key=len):
        tables = {k: v for k, v in found.items() if programs <= v.keys()}
        if tables and OURS in programs:
            yield summary(tables, programs)


def summary(
    found: Mapping[str, Mapping[str, Sequence[Result]]], programs: Collection[str]
) -> list[str]:
    """Return a line for each program: score, rank, our wins and losses against it, and seconds.

    The score of a table is 1 for its best program and 0 for its worst. Wins are beyond the noise of the splits.
    """
    errors = [{k: [one["error"] for one in table[k]] for k in programs} for table in found.values()]
    ranks = {name: fmean(rank(table)[name] for table in errors) for name in programs}
    lines = [f"  {len(found)} tables", f"  {'':22s}{HEADINGS}"]
    for name in sorted(programs, key=lambda one: ranks[one]):
        outcomes = [outcome(table[OURS], table[name]) for table in errors]
        wins, losses = (sum(one == sign for one in outcomes) for sign in (1, -1))
        mean_score = fmean(score(table)[name] for table in errors)
        seconds = median(one["seconds"] for table in found.values() for one in table[name])
        figures = f"{mean_score:7.2f}{ranks[name]:7.2f}{wins:10d}{losses:8d}{seconds:9.1f}"
        lines.append(f"  {name:22s}{figures}")
    return lines


def score(errors: Errors) -> dict[str, float]:
    means = {name: fmean(values) for name, values in errors.items()}
    best, worst = min(means.values()), max(means.values())
    return {name: (worst - mean) / ((worst - best) or 1) for name, mean in means.items()}


def rank(errors: Errors) -> dict[str, float]:
    """Return 1 for the least mean error; equal ones share the mean of their ranks."""
    means = {name: fmean(values) for name, values in errors.items()}
    others = list(means.values())
    return {
        name: sum(other < mean for other in others) + (others.count(mean) + 1) / 2
        for name, mean in means.items()
    }


def outcome(ours: Sequence[float], other: Sequence[float]) -> int:
    """Return 1 if our error is less beyond the noise of paired splits, -1 if it is more, else 0."""
    differences = [theirs - own for own, theirs in zip(ours, other, strict=True)]
    mean = fmean(differences)
    noise = NOISE * stdev(differences) / len(differences) ** 0.5
    return 0 if abs(mean) <= noise else (1 if mean > 0 else -1)
