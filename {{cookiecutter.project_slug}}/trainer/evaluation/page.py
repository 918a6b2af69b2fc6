"""The page of an evaluation: one file without scripts that holds all it shows, with charts as SVG."""

import html
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from trainer.data.thresholds import BINS, confidence
from trainer.evaluation.measures import Array, Scored, Table, most_frequent

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Evaluation</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.charts { display: grid; margin-top: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
figure { margin: 0; break-inside: avoid; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { text-align: right; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8886; vertical-align: bottom; }
td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
@media (max-width: 30rem) { body { font-size: 14px; } th, td { padding-right: .4rem; } }
@media print { body { font-size: 11px; max-width: none; } h2 { break-after: avoid; } .scroll { overflow: visible; } }
</style></head><body>
<h1>Evaluation</h1>
"""
ABOUT = {
    "metrics": "With the 95 % interval, and beside it what always predicting the same gives, and a linear model if it is known.",
    "confusion": "Rows: the true class. Columns: the most probable class; of two, the positive one above the model's threshold.",
    "by_class": "At the same threshold.",
    "thresholds": "What other thresholds would give; those of an aim were chosen on the eval split. To change the model's: <code style='white-space: nowrap'>nox -s evaluate -- --threshold f1 --keep</code>",
    "lift": "Of the rows with the highest scores: their share of the positives, and how many times as many it is as by chance.",
    "error_quantiles": "Of true - predicted, and of its size.",
    "worse_slices": "Whose loss is significantly higher than that of the other rows. Expected: what the predicted probabilities make of it; a loss far above is wrong, not just uncertain.",
    "drift": "Of each column, against the training rows: of numbers, the Jensen-Shannon divergence is compared with the limit, of other values the L-infinity distance. Unseen: outside of the numbers, or the frequent values, of training.",
    "importance": "By how much the main metric gets worse when a column is shuffled; below twice the deviation it may be chance.",
}
INK, LINE, SECOND = "#010203", "#3b82c4", "#d9822b"
"""The ink becomes the colour of the page's text; the others are seen on white and on black."""
STYLE = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color"), INK),
    **{"ytick.color": INK, "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9},
    **{"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True},
    **{"axes.grid": True, "grid.alpha": 0.3, "text.parse_math": False},
}
LEFT_OUT = re.compile(
    r"(?s)^.*?<svg|<metadata>.*?</metadata>| (?:width|height)=\"[0-9.]+pt\"| [(]Positive (?:label|class): [^)]*[)]"
)
SIZE_INCHES, PICTURE_DPI, MOST_LETTERS_OF_FILE = (4.2, 3.2), 150, 40
MOST_POINTS, MOST_COLUMNS, MOST_LETTERS, MOST_BOXES = 1_000, 20, 18, 8


def page(
    document: Mapping[str, Any], scored: Scored, cells: Mapping[str, Array]
) -> tuple[str, dict[str, bytes]]:
    """Return the page of what evaluation.json holds, with charts of the labels, the predictions and the top columns' cells.

    The charts are returned as PNG files, too, by their names.
    """
    source = f"{document['model']}: {document['rows']:,} rows of the {document['source']['text']}"
    texts = [f"<p>{html.escape(each)}.</p>\n" for each in (source, *document["revealing"])]
    titles = {k: k.replace("_", " ").capitalize() for k in ABOUT if document.get(k)}
    sections = [section(title, document[k], ABOUT[k]) for k, title in titles.items()]
    sections += [section(f"By {k}", each, "") for k, each in document["slices"].items()]
    titled = [*charts(document, scored, cells)]
    drawn = [drawing(*each) for each in titled]
    figures = f'<div class="charts">{"".join(text for text, _ in drawn)}</div>\n'
    names = (file_name(number, title) for number, (title, _) in enumerate(titled, 1))
    pictures = dict(zip(names, (picture for _, picture in drawn), strict=True))
    return "".join([HEAD, *texts, sections[0], figures, *sections[1:]]), pictures


def file_name(number: int, title: str) -> str:
    """Return a name of letters, digits and - that no other chart has: a column's name may hold any character."""
    words = re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"{number:02d}-{words[:MOST_LETTERS_OF_FILE]}.png"


def section(name: str, rows: Table, about: str) -> str:
    headings = ["", *next(iter(rows.values()))]
    lines = ["".join(f"<th>{html.escape(each.replace('_', ' '))}</th>" for each in headings)]
    for key, values in rows.items():
        cells = (html.escape(each) for each in (key, *map(shown, values.values())))
        lines.append("".join(f"<td>{each}</td>" for each in cells))
    table = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f'<h2>{html.escape(name)}</h2>\n<p>{about}</p>\n<div class="scroll"><table>{table}</table></div>\n'


def shown(value: float | None) -> str:
    """Return a count in full, another number with four digits, and - for none."""
    if value is None or isinstance(value, bool):
        return "yes" if value else "-"
    is_long = isinstance(value, int) or 9999.5 <= abs(value) < 1e15
    return f"{value:,.0f}" if is_long else f"{value:.4g}"


def charts(
    document: Mapping[str, Any], scored: Scored, cells: Mapping[str, Array]
) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the title of each chart of a task, and what draws it on the axes `ax` of matplotlib."""
    from sklearn import calibration, metrics

    task, labels, predictions = scored.task, scored.labels, scored.predictions
    dashed = {"color": SECOND, "linestyle": "--"}
    if task == "binary":
        given = {"plot_chance_level": True, "chance_level_kw": dashed, "drop_intermediate": True}
        given["sample_weight"] = scored.weights
        curves = (metrics.RocCurveDisplay, metrics.PrecisionRecallDisplay)
        for title, curve in zip(("ROC curve", "Precision and recall"), curves, strict=True):
            yield title, partial(curve.from_predictions, labels, predictions[:, 1], **given)
    if task == "regression":
        display = partial(metrics.PredictionErrorDisplay.from_predictions, labels, predictions)
        dots = {"color": LINE, "alpha": 0.4, "s": 6}
        given = {"scatter_kwargs": dots, "line_kwargs": dashed, "subsample": MOST_POINTS}
        yield "Predictions", partial(display, kind="actual_vs_predicted", random_state=0, **given)
        yield "Errors", partial(display, kind="residual_vs_predicted", random_state=0, **given)
    else:
        pair, display = confidence(labels, predictions), calibration.CalibrationDisplay
        yield "Calibration", partial(display.from_predictions, *pair, n_bins=BINS)
    yield "Importance of columns", partial(bars, document["importance"])
    for name in (document["metric"], "loss"):
        if any(name in each for each in document["history"]):
            yield f"Learning curve: {name}", partial(learning, document["history"], name)
    for name, each in document["partial_dependence"].items():
        yield f"Mean prediction by {name}", partial(dependence, **each)
    if task == "regression":
        for name, values in cells.items():
            yield f"Errors by {name}", partial(errors, values, labels - predictions)


def bars(columns: Table, ax: Any) -> None:
    first = [*columns.items()][:MOST_COLUMNS][::-1]
    means, spreads = ([each[name] for _, each in first] for name in ("mean", "deviation"))
    names = [name[:MOST_LETTERS] for name, _ in first]
    ax.barh(range(len(names)), means, xerr=spreads, color=LINE, ecolor=SECOND)
    ax.set_yticks(range(len(names)), names, fontsize=7)


def learning(history: Sequence[Mapping[str, Any]], name: str, ax: Any) -> None:
    points = [(each["epoch"], each[name]) for each in history if name in each]
    ax.plot(*zip(*points, strict=True), marker=".")
    ax.set(xlabel="Epoch", ylabel=f"{name} of the eval split")


def dependence(values: Sequence[Any], predictions: Mapping[str, Any], ax: Any) -> None:
    """Draw the mean predictions by a column's values, with the name of each output at its line."""
    is_text = isinstance(values[0], str)
    places, line = range(len(values)) if is_text else values, "" if is_text else "-"
    for name, means in predictions.items():
        ax.plot(places, means, marker=".", linestyle=line)
        ax.annotate(name[:MOST_LETTERS], (places[-1], means[-1]), ha="right", fontsize=7)
    if is_text:
        named(ax, places, values)


def errors(values: Array, differences: Array, ax: Any) -> None:
    """Draw true - predicted by a column's values: points of numbers, boxes of the most frequent of other values."""
    if values.dtype == object:
        common = most_frequent(values)[:MOST_BOXES]
        ax.boxplot([differences[values == each] for each in common], showfliers=False)
        named(ax, range(1, len(common) + 1), common)
    else:
        rows = np.random.default_rng(0).permutation(len(values))[:MOST_POINTS]
        ax.scatter(values[rows], differences[rows], s=6, alpha=0.4, color=LINE)
    ax.axhline(0, color=SECOND, linestyle="--")
    ax.set_ylabel("True - predicted")


def named(ax: Any, places: Sequence[float], names: Sequence[str]) -> None:
    ax.set_xticks(places, [n[:MOST_LETTERS] for n in names], fontsize=7, rotation=40, ha="right")


def drawing(title: str, draw: Callable[..., Any]) -> tuple[str, bytes]:
    """Return a chart as a part of the page, and as a PNG."""
    import matplotlib
    from matplotlib.figure import Figure  # it needs neither a screen nor pyplot's state

    # The names of its parts are made of the salt, and a page holds several charts.
    colours = {"axes.prop_cycle": matplotlib.cycler(color=[LINE])}
    style = {**STYLE, **colours, "svg.hashsalt": title}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its font lacks: the page has its own
        figure = Figure(figsize=SIZE_INCHES)
        draw(ax=(axes := figure.subplots()))
        if legend := axes.get_legend():
            legend.remove()
        text, picture = io.StringIO(), io.BytesIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        axes.set_title(title, loc="left")
        figure.savefig(picture, format="png", dpi=PICTURE_DPI, bbox_inches="tight")
    # What comes before the picture, its fixed size, and what scikit-learn adds to labels of axes.
    whole = re.sub(LEFT_OUT, "", text.getvalue())
    whole = whole.replace(INK, "currentColor").replace("#000000", "currentColor")
    name = html.escape(title)
    chart = f'<svg role="img" aria-label="{name}"{whole}'
    figure_text = f"<figure><figcaption><b>{name}</b></figcaption>{chart}</figure>\n"
    return figure_text, picture.getvalue()
