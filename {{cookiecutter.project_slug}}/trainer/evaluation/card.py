"""The model card of an evaluation, from the template beside this file: what the records of the run hold, and blanks."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.data.thresholds import in_words
from trainer.evaluation.measures import OWN, Table
from trainer.evaluation.page import shown

CARD, TEMPLATE = "MODEL_CARD.md", Path(__file__).with_name("card_template.md")
NOT_RECORDED, BLANK = "not recorded", "**TO FILL IN**"
SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$#@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
MOST_LETTERS, MOST_ROWS = 400, 12


def card(
    document: Mapping[str, Any],
    statistics: Statistics,
    schema: Schema,
    config: Mapping[str, Any],
    train: Path,
) -> str:
    """Return the card, as Markdown, of what evaluation.json, statistics.json and the config.json of a run, and a train table, say."""
    label, at = statistics.label, document.get("thresholds")
    drifted = (name for name, each in document["drift"].items() if each["drifted"])
    number = {"mean": f"{label.mean:g}", "standard deviation": f"{label.deviation:g}"}
    classes = dict(zip(label.classes, label.counts, strict=True))
    values = {
        **{name: document[name] for name in ("model", "task", "metric")},
        "positive": schema.positive if schema.task == "binary" else "none",
        **{k: config.get(k) or NOT_RECORDED for k in ("package_version", "git_revision")},
        "versions": pairs(config.get("identity", {}).get("versions", {})) or NOT_RECORDED,
        "settings": pairs(config.get("settings", {})) or NOT_RECORDED,
        "label": schema.label,
        "columns": pairs({each: listed(schema.of_kind(each)) for each in schema.columns.values()}),
        "slices": listed(document["slices"]),
        "threshold": in_words(at[OWN]) if at else "none",
        "rows": f"{document['rows']:,}",
        "source": document["source"]["text"],
        "drifted": listed(drifted),
        "split_rows": pairs(statistics.rows),
        "rejected": f"{statistics.rejected:,}",
        "split": statistics.split["rule"],
        "distribution": pairs(classes or number),
        "data_id": statistics.fingerprint,
        "chose_the_run": "yes" if document["source"]["chose_the_run"] else "no",
        "revealing": listed(document["revealing"]),
    }
    tables = {f"{k}_table": table(k, document[k]) for k in ("metrics", "importance")}
    tables["train_table"] = described(train)
    tables["evaluated_table"] = described(Path(document["source"]["file"]))
    tables["worse_table"] = table("slice", document["worse_slices"])
    tables["slices_tables"] = "".join(table(k, each) for k, each in document["slices"].items())
    texts = {name: plain(value) for name, value in values.items()} | tables
    return Template(TEMPLATE.read_text(encoding="utf-8", errors="replace")).safe_substitute(texts)


def listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def pairs(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {each}" for name, each in values.items() if each is not None)


def plain(value: object) -> str:
    """Return a value as one line of Markdown that shows it as it is: no markup, HTML or link."""
    text = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", str(value)).split())
    text = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} …"
    return SPECIAL.sub(r"\\\g<0>", text)


def table(name: str, rows: Table) -> str:
    """Return a table of the first rows, "none" if there are none."""
    if not rows:
        return "none\n"
    headings = [name, *next(iter(rows.values()))]
    texts = ([key, *map(shown, values.values())] for key, values in [*rows.items()][:MOST_ROWS])
    lines = [f"| {' | '.join(map(plain, cells))} |\n" for cells in (headings, *texts)]
    rest = f"\n{len(rows) - MOST_ROWS} more are in evaluation.json.\n"
    rule = f"|---{'|---:' * (len(headings) - 1)}|\n"
    return "".join([lines[0], rule, *lines[1:], rest * (len(rows) > MOST_ROWS), "\n"])


def described(path: Path) -> str:
    """Return the name of a table, and its licence as a section of README.md beside it states it if that names the file."""
    readme = path.parent / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    named = (each for each in re.split("^#", text, flags=re.MULTILINE) if f"`{path.name}`" in each)
    paragraphs = (each for section in named for each in section.split("\n\n"))
    found = [each for each in paragraphs if re.search("^Licen[cs]e:", each, re.MULTILINE)]
    return f"{plain(path.name)}. {plain(found[0]) if found else f'Licence: {BLANK}'}"
