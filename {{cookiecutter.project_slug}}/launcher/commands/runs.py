"""`nox -s runs`: the runs on this machine side by side."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from launcher.commands.session import Session
from launcher.console import UserError
from launcher.results import Result, compared, grouped, results_of

FLAGS_WIDTH = 23
"""What the other columns leave of a terminal's 80."""
NOISE_ERRORS = 1.96
"""Standard errors of an interval of 95 %."""
SHORT = 6
"""Digits of a digest."""
STARTED = slice(len("2026-"), len("2026-12-31T23:59"))


def runs(session: Session) -> int:
    """Print a table for each group of comparable runs, or all as JSON; or two evaluations."""
    project, options = session.project, session.options
    if options.pair:
        return pair(session)
    results = results_of(project.runs, session.job.study)
    if not results:
        what, expected = f"there is no run in {project.shown_path(project.runs)}", "a run"
        raise UserError(what, expected, "run nox -s local_train first")
    groups = [in_order(group, options.sort) for group in grouped(results)]
    if options.json:
        print(json.dumps([asdict(each) for group in groups for each in group], indent=1))
        return 0
    for number, group in enumerate(groups):
        if number:
            print("\nnot comparable with those above, because the prepared data is other:")
        headings = ("run", "started", f"eval {group[0].metric}", "test", "s", "data", "code")
        session.console.table((*headings, "flags"), [row for each in group for row in rows(each)])
    session.console.step("best", "* by the eval split, which the test table has no part in")
    return 0


def pair(session: Session) -> int:
    """Print the evaluations of two runs side by side, or as JSON, and whether their losses differ by more than chance."""
    given, options, console = session.options.pair, session.options, session.console
    if options.sort != "run":
        raise UserError("--sort beside two runs", "one of the two", "leave out --sort")
    if len(given) != 2 or not all(each.isdecimal() for each in given):
        what = f"{' '.join(given)} does not name two runs"
        raise UserError(what, "two numbers, such as 3 5", "see nox -s runs")
    first, second = (session.project.runs / f"{int(each):04d}" for each in given)
    if lacking := [each for each in (first, second) if not each.is_dir()]:
        what = f"there is no run {int(lacking[0].name)}"
        raise UserError(what, "two runs of this machine", "see nox -s runs")
    found = compared(first, second)
    if options.json:
        error = found.error if found.rows > 1 else None  # JSON has no infinity
        print(json.dumps({"runs": [*map(int, given)], **asdict(found), "error": error}, indent=1))
        return 0
    cells = [(name, *map(shown, both)) for name, both in found.values.items()]
    console.table(("", *(f"run {int(each)}" for each in given)), cells)
    noise = NOISE_ERRORS * found.error
    verdict = "more than chance" if abs(found.difference) > noise else "may be chance"
    names = " - ".join(f"run {int(each)}" for each in reversed(given))
    text = f"{names}: {found.difference:+.2g} ± {noise:.2g} a row, {found.rows:,} rows: {verdict}"
    console.step("loss", text)
    return 0


def in_order(group: Sequence[Result], key: str) -> list[Result]:
    """Return runs by a column, ascending; those without a value last."""
    return sorted(group, key=lambda each: (getattr(each, key) is None, getattr(each, key)))


def rows(result: Result) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a run; more flags than fit in a line get further lines."""
    words = [f"{name}={value}" if value else name for name, value in result.flags.items()]
    first, *more = textwrap.wrap(" ".join(words), FLAGS_WIDTH, break_on_hyphens=False) or [""]
    yield (
        f"{result.run}{'*' * result.best}",
        result.started[STARTED].replace("T", " "),
        "unfinished" if result.seconds is None else shown(result.eval),
        shown(result.test),
        "" if result.seconds is None else f"{result.seconds:.0f}",
        result.data[:SHORT],
        result.code[:SHORT],
        first,
    )
    yield from (("",) * 7 + (line,) for line in more)


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
