"""Reports results as a table, as JSON and as a chart."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.targets import SCORE, Row

FOLDER = Path(__file__).parent
RESULTS, CHART = FOLDER / "results.json", FOLDER / "chart.svg"
REAL = "R"
LABEL_WIDTH, BAR_WIDTH, LINE_HEIGHT = 260, 420, 22
OURS_COLOUR, OTHER_COLOUR = "#1a73e8", "#9aa0a6"


def lines(rows: Sequence[Row]) -> list[str]:
    return [
        f"{'':6s} {'':36s} {'median':>12s} {'low':>12s} {'high':>12s} {'ratio':>7s} {'target':>7s}",
        *(line(row) for row in rows),
    ]


def line(row: Row) -> str:
    figures = [row.measured.median, row.measured.low, row.measured.high]
    shown = " ".join(
        f"{figure:12,.0f}" if figure >= 1_000 else f"{figure:12.4g}" for figure in figures
    )
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    required = "" if row.required_ratio is None else f"{row.required_ratio:g}"
    outcome = "" if row.required_ratio is None else ("met" if row.met else "MISSED")
    metric = "" if row.metric is None else f"{row.metric_name} {row.metric:.4f}"
    return f"{row.target:6s} {row.name:36s} {shown} {ratio:>7s} {required:>7s} {outcome} {metric} {row.unit}".rstrip()


def keep(
    target: str, rows: Sequence[Row], rounds: int, versions: Mapping[str, Sequence[str]]
) -> None:
    """Write the rows of a target to `results.json`, replacing its earlier ones, and redraw the chart."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[target] = {
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": versions,
        "rounds": rounds,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=2) + "\n")
    CHART.write_text(chart(results))


def machine() -> str:
    """Return the processor, the number of cores and the operating system."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(models or [platform.machine()])[0]}, {os.cpu_count()} cores, {platform.system()}"


def chart(results: dict[str, Any]) -> str:
    """Return an SVG with a bar for each program: seconds of end-to-end jobs, and scores of accuracy."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in (row for found in results.values() for row in found["rows"]):
        if title := title_of(row):
            groups.setdefault(title, []).append(row)
    parts, top = [], 0
    for title, rows in groups.items():
        parts.append(text(4, top + 18, title, "bold"))
        top += LINE_HEIGHT + 6
        longest = max(row["measured"]["median"] for row in rows)
        for row in rows:
            parts.append(bar(top, row, longest))
            top += LINE_HEIGHT
        top += 12
    width = LABEL_WIDTH + BAR_WIDTH + 80
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" font-family="sans-serif" font-size="13">'
    background = f'<rect width="{width}" height="{top}" fill="white"/>'
    return "\n".join([head, background, *parts, "</svg>"]) + "\n"


def title_of(row: Mapping[str, Any]) -> str:
    """Return the title of the bars that a row is one of, "" if it is none."""
    target = row["target"]
    if row["unit"] == SCORE:
        return f"{target}: mean score on real tables, 1 for the best program of each"
    is_job = row["metric"] is not None and not target.startswith(REAL)
    start = "prepared shards (ours) or CSV" if target == "P2" else "CSV"
    return f"{target}: seconds from {start} to exported model" if is_job else ""


def bar(top: int, row: Mapping[str, Any], longest: float) -> str:
    name, figure = row["name"], row["measured"]["median"]
    length = max(2, round(BAR_WIDTH * figure / longest))
    colour = OURS_COLOUR if name.startswith("ours") else OTHER_COLOUR
    shape = f'<rect x="{LABEL_WIDTH}" y="{top + 3}" width="{length}" height="{LINE_HEIGHT - 6}" fill="{colour}"/>'
    shown = f"{figure:.2f}" if row["unit"] == SCORE else f"{figure:.1f}"
    return "\n".join(
        [text(16, top + 16, name), shape, text(LABEL_WIDTH + length + 6, top + 16, shown)]
    )


def text(left: int, base: int, content: str, weight: str = "normal") -> str:
    return f'<text x="{left}" y="{base}" font-weight="{weight}">{escape(content)}</text>'
