"""Hostile answers and column names, through the engine: each is refused with nothing on disk, or baked into files that hold just it.

A sample here, chosen by a seed; `nox -s drills` takes ten thousand.
"""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import ast
import csv
import random
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import CookiecutterException
from jinja2 import TemplateError

from tests.bakery import Answers, bake, files_of
from tests.drill import SEED, many

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

pytestmark = pytest.mark.full

PAYLOADS = (
    *('"', "'", '"""', "'''", "\\", '\\"', "\\'", "`", "${HOME}", "$(touch pwned)", "`touch pwned`"),
    *("a\nb", "a\rb", "a\0b", "a\tb", "\x1b[31m", "\x7f", "\u202eabc", "\u2066a\u2069", "\u200b", "\ufeff"),
    *("{{ 7*7 }}", "{% raw %}", "{# x #}", "#% set x = 1", "{{ cookiecutter.__class__ }}", "{", "}}", "%}"),
    *("; rm -rf .", "&& touch pwned", "| tee pwned", "> pwned", "--help", "-o", "@file", "*", "?", "~"),
    *("../evil", "../../etc/passwd", "/etc/passwd", "C:\\Windows", "a/../b", "./.", "..", "file:///etc/passwd"),
    *('" = 1', "]\n[evil]", "key = 1", "[[x]]", "#", "a # b", "'''\nx", "\\u0022", "\\x00", "&anchor", "*alias", "!!python/object", "- a", "a: b", "? x"),
    *("class", "def", "None", "True", "import os", "__import__('os').system('touch pwned')", "lambda: 0", "__init__"),
    *("x" * 300, "é" * 120, "😀" * 60, "а" * 12, "ｃｌａｓｓ", "raсe", "ﬀ", "i̇", "ß", "İ"),
    *("", " ", "\u00a0", "nan", "NaN", "1e999", "0x41", "-0", "null", "NULL", "<script>", "&lt;", "%s", "%(a)s", "{0}"),
)  # fmt: skip
RIGHT: Answers = {
    "project_name": "Census Income",
    "project_slug": "census-income",
    "gcp_project": "some-project-1",
    "region": "us-central1",
    "bucket": "some-bucket-1",
    "scale_tier": "BASIC",
}
JOB_KEYS = {
    "gcp_project": "project",
    "region": "region",
    "bucket": "bucket",
    "scale_tier": "scale_tier",
}
TEMPLATE_MARKS = ("{{", "{%", "{#", "}}", "%}", "#}", "#%")
ROWS = 12


def text(choose: random.Random) -> str:
    """Return a payload, two of them, one inside ordinary text, or characters at random."""
    kind = choose.randrange(5)
    if kind == 0:
        return "".join(
            chr(choose.choice((choose.randrange(128), choose.randrange(0x3000))))
            for _ in range(choose.randrange(1, 12))
        )
    first, second = choose.choice(PAYLOADS), choose.choice(PAYLOADS)
    return (first, f"{first}{second}", f"income {first}", f"{first}x")[kind - 1]


def hostile_answers(choose: random.Random, folder: Path) -> tuple[Answers, list[str]]:
    """Return answers of which one or two are hostile, and the column names of their table, if it has hostile ones."""
    answers = dict(RIGHT)
    names: list[str] = []
    if choose.random() < 0.4:
        names = [text(choose) for _ in range(choose.randrange(1, 4))]
        answers["data_path"] = str(write_table(folder, names, choose))
        answers["label"] = "the label"
    for key in choose.sample(sorted(RIGHT), choose.randrange(0 if names else 1, 3)):
        answers[key] = text(choose)
    return answers, names


def write_table(folder: Path, names: list[str], choose: random.Random) -> Path:
    """Write a table with these columns, text in their cells, and a label."""
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "the label"])
        for number in range(ROWS):
            writer.writerow(
                [*(f"v{choose.randrange(3)}" for _ in names), ("yes", "no")[number % 2]]
            )
    return path


def test_hostile_answers_are_refused_or_held(tmp_path: Path) -> None:
    baked = refused = 0
    for number in range(many(80, 10_000)):
        choose, folder = random.Random(f"{SEED} {number}"), tmp_path / str(number)
        (folder / "output").mkdir(parents=True)
        answers, names = hostile_answers(choose, folder)
        before = sorted(path.name for path in folder.iterdir())
        try:
            project = bake(folder / "output", answers)
        except CookiecutterException as refusal:
            refused += 1
            assert_one_line(str(refusal), answers)
            assert list((folder / "output").iterdir()) == [], answers
        except TemplateError as error:
            # Answers that come as on the command line are templates to the engine before anybody else sees them.
            refused += 1
            assert any(map(templated, answers.values())), (error, answers)
            assert list((folder / "output").iterdir()) == [], answers
        else:
            baked += 1
            assert project.parent == folder / "output", answers
            assert_holds(project, answers, names)
        assert sorted(path.name for path in folder.iterdir()) == before, answers
        assert not list(folder.rglob("pwned")) and not Path("pwned").exists(), answers
    print(f"{baked + refused} answer sets: {baked} baked, {refused} refused")
    assert baked and refused


def assert_one_line(message: str, answers: Answers) -> None:
    """A refusal is one printable line."""
    assert len(message.splitlines()) == 1 and message.strip(), (message, answers)
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs") for each in message), answers


def assert_holds(project: Path, answers: Answers, names: list[str]) -> None:
    """Every rendered file parses, and holds the answers as they were given."""
    files = files_of(project)
    job = tomllib.loads(files["job.toml"].decode())
    tomllib.loads(files["pyproject.toml"].decode())
    for name, content in files.items():
        if name.endswith(".py"):
            ast.parse(content, name)
    for key, name in JOB_KEYS.items():
        if not templated(answers[key]):
            assert job["job"][name] == answers[key], answers
    assert set(job) == SECTIONS, answers
    if names and not any(map(templated, names)):
        columns = constant(files["trainer/features.py"], "COLUMNS")
        assert list(columns) == names, answers


SECTIONS = {
    "job",
    "runtime",
    "scheduling",
    "data",
    "arguments",
    "labels",
    "environment",
    "study",
    "tiers",
}


def templated(answer: str) -> bool:
    """Tell whether the engine itself may have evaluated an answer before the template saw it."""
    return any(mark in answer for mark in TEMPLATE_MARKS)


def constant(source: bytes, name: str) -> Any:
    """Return the value of a constant of a module, without running it."""
    for node in ast.parse(source).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == name and isinstance(node, ast.AnnAssign):
            assert node.value
            return ast.literal_eval(node.value)
    raise AssertionError(f"no {name}")


# What must hold of the few that are baked and then started, each in a second or two.
KEYWORDS_AND_QUOTES = ["class", 'say "so"', "it's", "a\\b", "ｃｌａｓｓ", "raсe", "日本", "#x"]


def test_a_project_with_hostile_columns_can_be_imported(tmp_path: Path) -> None:
    table = write_table(tmp_path, KEYWORDS_AND_QUOTES, random.Random(SEED))
    answers = {
        **RIGHT,
        "data_path": str(table),
        "label": "the label",
        "project_name": "'\"\\ </b> &",
    }
    project = bake(tmp_path / "output", answers)
    program = "from trainer import features; from trainer.schema import read_schema; print(*read_schema(features).columns, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        capture_output=True,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )
    assert done.stdout.splitlines() == KEYWORDS_AND_QUOTES
