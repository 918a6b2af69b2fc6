"""What people's tables are like: each trait in a table of its own, with the kinds that are proposed and the lines that are printed."""

import datetime
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmle_extension.dataset import (
    checked_data_path,
    checked_features,
    checked_label,
    inferred_features,
    inferred_label,
)
from cmle_extension.quoting import parsed
from tests.bakery import ROOT

ROWS = 300
DAY = datetime.date(2023, 1, 28)
Cell = Callable[[int, random.Random], object]


def table(cell: Cell, label: Cell | None = None, name: str = "trait", mark: str = ",") -> str:
    """Return a table of a plain number, a plain category, the column with the trait, and a label."""
    choose = random.Random(name)
    lines = [mark.join(["size", "shape", name, "label"])]
    for row in range(ROWS):
        size = choose.gauss(0, 1)
        made = label(row, choose) if label else ("yes" if size > 0 else "no")
        lines.append(mark.join(map(str, [f"{size:.3f}", "abc"[row % 3], cell(row, choose), made])))
    return "\n".join(lines) + "\n"


def day(row: int) -> datetime.date:
    return DAY + datetime.timedelta(days=row)


def plain(row: int, choose: random.Random) -> object:
    return f"{choose.gauss(5, 2):.2f}"


def often(marker: str) -> Cell:
    """Return numbers of which a tenth is the marker."""
    return lambda row, choose: marker if row % 10 == 3 else plain(row, choose)


# The trait, its table, the proposed kind of its column, and parts of the lines.
KINDS: dict[str, tuple[str, str, list[str]]] = {
    "ISO dates": (table(lambda row, _: day(row)), "datetime", []),
    "dates that repeat": (table(lambda row, _: day(row // 10)), "datetime", []),
    "US dates": (table(lambda row, _: f"{day(row):%m/%d/%y}"), "datetime", []),
    "German dates": (
        table(lambda row, _: f"{day(row):%d.%m.%Y}"),
        "datetime",
        ["column   trait: datetime; the day comes first, as in '28.01.2023'"],
    ),
    "timestamps": (table(lambda row, _: f"{day(row)}T12:30:0{row % 10}Z"), "datetime", []),
    "month names": (table(lambda row, _: f"{day(row):%d %b %Y}"), "datetime", []),
    "thousands": (
        table(lambda row, choose: f'"{choose.randrange(1000, 90_000):,}"'),
        "numeric",
        ["column   trait: numeric; '", "is read as"],
    ),
    "currency": (
        table(lambda row, choose: f'"${choose.randrange(1000, 90_000):,}.50"'),
        "numeric",
        ["is read as"],
    ),
    "percent": (table(lambda row, choose: f"{choose.random():.1%}"), "numeric", ["is read as 0."]),
    "units": (table(lambda row, choose: f"{row * 7} kg"), "numeric", ["UNITS has 'kg'"]),
    "blanks behind": (table(lambda row, choose: f"{row * 7}.5   "), "numeric", []),
    "exponents": (table(lambda row, choose: f"{row * 7:.3E}"), "numeric", []),
    "plus and minus": (table(lambda row, choose: f"{choose.gauss(0, 1):+.2f}"), "numeric", []),
    "parentheses": (
        table(lambda row, choose: f"({row * 7 + 1})" if row % 2 else row * 7),
        "numeric",
        ["is read as -"],
    ),
    **{
        f"missing is {marker}": (
            table(often(marker)),
            "numeric",
            [f"column   trait: numeric; 30 of 300 cells are '{marker}', taken as missing"],
        )
        for marker in ("-", ".", "None", "n/a", "#N/A", "<NA>", "unknown", "missing", "-999", "leer")
    },
    "missing is NaN": (table(often("NaN")), "numeric", []),
    "one odd cell": (
        table(lambda row, choose: "see note" if row == 7 else plain(row, choose)),
        "numeric",
        ["column   trait: numeric; 1 of 300 cells is 'see note', taken as missing"],
    ),
    "product codes": (table(lambda row, _: 1000 + row % 12), "numeric", []),
    "postal codes": (table(lambda row, _: f"0213{row % 8}"), "categorical", []),
    "long identifiers": (
        table(lambda row, _: 10**17 + 97 * row),
        "ignore",
        ["not used trait: identifiers"],
    ),
    "integers with gaps": (table(lambda row, _: "" if row % 9 == 4 else f"{row % 8}.0"), "numeric", []),
    "booleans": (table(lambda row, _: ("True", "False", "")[row % 3]), "categorical", []),
    "tags": (table(lambda row, _: "|".join("abc"[: row % 3 + 1])), "categorical", []),
    "no values": (table(lambda row, _: ""), "ignore", ["not used trait: no values"]),
    "one value": (table(lambda row, _: "EU"), "ignore", ["not used trait: the same value"]),
    "comments": (table(lambda row, _: f"the order number {row * 7} arrived late"), "text", []),
    "comments, some missing or repeated": (
        table(lambda row, _: "" if row % 3 else f"arrived late on day {row % 200}"),
        "text",
        [],
    ),
    "long text": (
        table(lambda row, _: f"day {row} " + "it is good " * (30 if row % 10 else 1)),
        "text",
        ["column   trait: text; the first 64 words of each text are read; 90% of the texts have more"],
    ),
    "names of people": (
        table(lambda row, _: f"{'Ann' if row % 2 else 'Bob'} Smith{chr(97 + row % 26)}{chr(97 + row // 26)}"),
        "ignore",
        ["not used trait: text that differs in nearly every row"],
    ),
    "durations": (
        table(lambda row, _: f"{row // 24} days {row % 24} hours {row * 7 % 60} min"),
        "ignore",
        ["not used trait: texts such as '0 days 0 hours 0 min', not read as numbers"],
    ),
    "lists": (table(lambda row, _: f"['it is {row}'; 'and more of it']"), "ignore", ["not used trait: JSON"]),
    "long tags": (
        table(lambda row, _: f"red|green|blue|of{row}"),
        "ignore",
        ["not used trait: identifiers"],
    ),
    "JSON": (table(lambda row, _: f'"{{""a"": {row}}}"'), "ignore", ["not used trait: JSON"]),
    "a row index": (
        table(lambda row, _: row, name="Unnamed: 0"),
        "ignore",
        ['not used "Unnamed: 0": no name in the header'],
    ),
    "a shuffled index": (
        table(lambda row, _: row * 7 % ROWS, name="row"),
        "ignore",
        ["not used row: row numbers"],
    ),
}  # fmt: skip

LABELS: dict[str, tuple[str, str, list[str]]] = {
    "booleans": (table(plain, lambda row, _: row % 3 == 0), "binary", ["the probability of 'True'"]),
    "floats": (table(plain, lambda row, _: f"{row % 2}.0"), "binary", ["the probability of '1.0'"]),
    "variants": (
        table(plain, lambda row, _: ("Yes", "No", "YES ", "no", "yes")[row % 5]),
        "binary",
        ["'Yes', 'No', 'YES', 'no', 'yes' are read as 'yes', 'no', by LABEL_SQL = \"LOWER(label)\""],
    ),
    "stars": (
        table(plain, lambda row, _: row % 5 + 1),
        "multiclass",
        ['multiclass, 5 classes; to predict a number, write TASK = "regression"'],
    ),
    "single rows": (
        table(plain, lambda row, _: f"only{row}" if row in (5, 50) else "abc"[row % 3]),
        "multiclass",
        ["2 of 5 classes have fewer than 10 of the rows read ('only5': 1, 'only50': 1)", "LABEL_SQL = "],
    ),
    "rare": (
        table(plain, lambda row, _: int(row in (5, 50, 150))),
        "binary",
        ["('1': 3), too few to learn and to evaluate"],
    ),
    "a marker of missing values": (
        table(plain, lambda row, _: ("yes", "no", "None")[row % 3]),
        "binary",
        ["LABEL_SQL = \"NULLIF(label, 'None')\""],
    ),
    "markers among numbers": (
        table(plain, lambda row, choose: "-" if row % 4 == 1 else f"{choose.gauss(0, 9):.2f}"),
        "regression",
        ["label    label: 75 of 300 cells are '-', taken as missing"],
    ),
    "thousands": (
        table(plain, lambda row, choose: f'"{choose.randrange(1000, 90_000):,}"'),
        "regression",
        ["label    label: regression, numbers from", "is read as"],
    ),
    "currency": (
        table(plain, lambda row, choose: f"{choose.randrange(1000, 90_000)} €"),
        "regression",
        ["is read as"],
    ),
    "percent": (table(plain, lambda row, choose: f"{choose.random():.2%}"), "regression", ["is read as"]),
}  # fmt: skip


def described(folder: Path, content: str) -> dict[str, Any]:
    """Return what baking the table passes to the templates."""
    (folder / "table.csv").write_text(content, encoding="utf-8")
    path = checked_data_path(str(folder / "table.csv"))
    label = checked_label(inferred_label(path), path)
    found: dict[str, Any] = parsed(checked_features(inferred_features(path, label), path, label))
    return found


@pytest.mark.parametrize("trait", KINDS)
def test_the_kind_of_a_column_is_what_a_person_would_choose(tmp_path: Path, trait: str) -> None:
    content, kind, parts = KINDS[trait]
    found = described(tmp_path, content)
    name = content.split("\n")[0].split(",")[2]
    kinds = {column["name"]: column["kind"] for column in found["columns"]}
    assert kinds == {"size": "numeric", "shape": "categorical", name: kind}
    lines = "\n".join(found["notes"])
    assert all(part in lines for part in parts), lines
    assert lines.count("\n") == bool(parts), lines  # the label's line, and one of the column


@pytest.mark.parametrize("trait", LABELS)
def test_the_task_is_what_a_person_would_choose(tmp_path: Path, trait: str) -> None:
    content, task, parts = LABELS[trait]
    found = described(tmp_path, content)
    assert (found["label"], found["task"]) == ("label", task)
    lines = "\n".join(found["notes"])
    assert all(part in lines for part in parts), lines


def test_baking_ends_with_what_is_to_be_known_about_the_columns(tmp_path: Path) -> None:
    lines = table(lambda row, _: "n.a." if row == 9 else row * 7).splitlines()
    indexed = [f"{row or ''},{line}" for row, line in enumerate(lines)]
    (tmp_path / "table.csv").write_text("\n".join(indexed), encoding="utf-8")
    answers = ["project_slug=people", "smoke_test=skip", f"data_path={tmp_path / 'table.csv'}"]
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--default-config", *answers],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    printed = done.stderr.splitlines()
    assert printed[:3] == [
        "label    label: binary, the probability of 'yes' (and not 'no')",
        "column   trait: numeric; 1 of 300 cells is 'n.a.', taken as missing",
        'not used "Unnamed: 0": no name in the header, as of a row index',
    ]
    assert printed[3].startswith("next ")
    features = (tmp_path / "people" / "trainer" / "features.py").read_text(encoding="utf-8")
    assert '"trait": "numeric",  # 1 of 300 cells is \'n.a.\', taken as missing\n' in features
    assert '"Unnamed: 0": "ignore",  # no name in the header, as of a row index\n' in features
    assert '"size": "numeric",\n' in features and '"n.a."]' in features
