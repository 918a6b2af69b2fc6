"""The model card: its sections, its blanks, the owner's words, and that hostile names do no harm."""

import re
from pathlib import Path
from typing import Any

import pytest
from trainer.data.schema import Schema
from trainer.data.statistics import Label, Statistics
from trainer.evaluation.card import BLANK, card, plain

SECTIONS = """Model details, Intended use, Factors, Metrics, Evaluation data, Training data,
 Quantitative analyses, Ethical considerations, Caveats and recommendations"""
HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:1) | `b` *c* $d$ &amp; http://e.f @g\n# h"
README = "# Data\n\nLicence: of other files.\n\n## The sample\n\n`a.csv` is by some.\n\nDoe, J.\nLicence: CC BY 4.0, *all*.\n"


def made(folder: Path, name: str = "income", table: str = "a.csv") -> str:
    schema: Any = Schema(
        name, "binary", name, "", {name: "numeric", "b": "ignore"}, (), ",", "", (), 10, 16, 4
    )
    label = Label(("no", name), (60, 30), 0.0, 1.0)
    rows = {"train": 90, "eval": 10}
    statistics = Statistics(rows, 3, label, {}, {}, {}, "f1d", {"rule": f"group:{name}"})
    measure = {"value": 0.9, "low": 0.8, "high": None, "constant": 0.5}
    threshold = {"threshold": 0.5, "true_positives": 1, "false_positives": 2, "false_negatives": 3}
    document = {
        "model": f"runs/{name}/model",
        "source": {
            "text": f"eval split {name}",
            "chose_the_run": True,
            "file": str(folder / table),
        },
        **{"task": "binary", "rows": 10, "metric": "auc", "metrics": {"auc": measure}},
        "thresholds": {"model": threshold},
        "slices": {name: {name: {"rows": 4, "auc": None}}},
        "worse_slices": {f"{name}: {name}": {"rows": 4, "auc": 0.1}},
        "importance": {name: {"mean": 0.1, "deviation": 0.2}},
        "drift": {name: {"drifted": True}, "b": {"drifted": False}},
        "revealing": [f"{name} alone gives the class"],
    }
    config = {
        "package_version": "0.1.0",
        "git_revision": None,
        "settings": {"epochs": 3, "patience": None, "hidden_units": [8]},
        "identity": {"versions": {"keras": "3.1"}},
    }
    return card(document, statistics, schema, config, folder / table)


def test_a_card_has_the_accepted_sections_and_what_is_known(tmp_path: Path) -> None:
    text = made(tmp_path)
    assert re.findall("^## (.*)$", text, re.MULTILINE) == re.split(r",\s+", SECTIONS)
    for section in text.split("\n## ")[1:]:
        assert BLANK in section
    assert re.findall(r"\$\w+", text) == []
    for known in (
        "positive class: income\n",
        "Made with: keras: 3.1\n",
        "Settings: epochs: 3; hidden\\_units: \\[8\\]\n",
        "git revision: not recorded\n",
        "numeric: income; ignore: b\n",
        "Rows: train: 90; eval: 10; 3 that could not be used",
        "Label: no: 60; income: 30\n",
        "| auc | 0.9 | 0.8 | - | 0.5 |\n",
        "differ from the training rows: income\n",
        "metrics may be too good: yes\n",
        "away: income alone gives the class\n",
        "at 0.5: 1 of 4 positives found, 2 false alarms",
        f"Table: a.csv. Licence: {BLANK}\n",
    ):
        assert known in text


def test_the_licence_is_that_of_a_section_that_names_the_table(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    assert "Table: a.csv. Doe, J. Licence: CC BY 4.0, \\*all\\*.\n" in made(tmp_path)
    assert f"Table: b.csv. Licence: {BLANK}\n" in made(tmp_path, table="b.csv")


def test_hostile_names_are_text(tmp_path: Path) -> None:
    text = made(tmp_path, HOSTILE)
    lines = text.splitlines()
    assert not re.search(r"(?<!\\)(<img|\[a\]|`b`|\*c\*|\$d|&amp|@g)|http://", text)
    assert [line for line in lines if line.startswith("#")] == re.findall(
        "^#+ .*$", made(tmp_path).replace("income", plain(HOSTILE)), re.MULTILINE
    )
    # A cell stays in its column.
    for line in (each for each in lines if each.startswith("|")):
        assert len(re.findall(r"(?<!\\)\|", line)) in (4, 6)
    assert plain("a\x00\x1b[31m\u2028b" + "c" * 999).count("c") < 401
    assert plain("WWW.evil.example") == "WWW\\.evil.example"


def test_what_the_owner_wrote_into_the_template_is_in_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, own = tmp_path / "own.md", "Für Ärzte: 5 $ each, ${unknown} and $task"
    template.write_text(own, encoding="utf-8")
    monkeypatch.setattr("trainer.evaluation.card.TEMPLATE", template)
    assert made(tmp_path) == "Für Ärzte: 5 $ each, ${unknown} and binary"
    template.write_bytes(own.encode("latin-1"))
    assert made(tmp_path).endswith("rzte: 5 $ each, ${unknown} and binary")


@pytest.mark.parametrize("value", ["a\u2028b", "a\r\nb", "a\x0bb"])
def test_a_value_is_one_line(value: str) -> None:
    assert plain(value).splitlines() == ["a b"]
