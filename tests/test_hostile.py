"""Hostile answers and column names, through the engine: each is refused with nothing on disk, or baked unchanged.

A sample here, chosen by a seed; `nox -s drills` takes ten thousand.
"""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import ast
import csv
import json
import random
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import CookiecutterException
from jinja2 import TemplateError

from tests.bakery import Answers, bake, files_of
from tests.drill import SEED, many
from tests.sessions import python_of

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


def test_hostile_answers_are_refused_or_kept_unchanged(tmp_path: Path) -> None:
    count = many(80, 10_000)
    with ProcessPoolExecutor(initializer=leave_temporary_files_in, initargs=(tmp_path,)) as pool:
        kinds = list(pool.map(kind_of_outcome, range(count), [tmp_path] * count, chunksize=10))
    counted = Counter(kinds)
    print(f"{count} answer sets: {counted['baked']} baked, {counted['refused']} refused")
    assert counted["baked"] and counted["refused"]
    assert not Path("pwned").exists()


def leave_temporary_files_in(folder: Path) -> None:
    """Keep what the engine leaves in the temporary folder below a folder of the test's."""
    tempfile.tempdir = str(folder)


def kind_of_outcome(number: int, root: Path) -> str:
    """Bake one hostile answer set; return "refused" (with nothing left) or "baked" (with the answers unchanged)."""
    choose, folder = random.Random(f"{SEED} {number}"), root / f"set-{number}"
    output = folder / "output"
    output.mkdir(parents=True)
    answers, names = hostile_answers(choose, folder)
    before = sorted(path.name for path in folder.iterdir())
    try:
        project = bake(output, answers)
    except (CookiecutterException, TemplateError) as refusal:
        assert_refused(refusal, answers)
        assert list(output.iterdir()) == [], ascii(answers)
        kind = "refused"
    else:
        assert project.parent == output, ascii(answers)
        assert_holds(project, answers, names)
        assert columns_read(project) == columns_written(project), ascii(answers)
        kind = "baked"
    assert sorted(path.name for path in folder.iterdir()) == before, ascii(answers)
    assert not list(folder.rglob("pwned")), ascii(answers)
    shutil.rmtree(folder)
    return kind


def assert_refused(refusal: Exception, answers: Answers) -> None:
    """A refusal is one printable line, or the engine's own error where an answer is a template to it."""
    if isinstance(refusal, TemplateError):
        # The engine renders answers from the command line before the template sees them.
        assert any(map(templated, answers.values())), ascii((refusal, answers))
    else:
        assert_one_line(str(refusal), answers)


def assert_one_line(message: str, answers: Answers) -> None:
    """A refusal is one printable line."""
    assert len(message.splitlines()) == 1 and message.strip(), ascii((message, answers))
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs") for each in message), ascii(
        answers
    )


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
            assert job["job"][name] == answers[key], ascii(answers)
    assert set(job) == SECTIONS, ascii(answers)
    if names and not any(map(templated, names)):
        columns = constant(files["trainer/features.py"], "COLUMNS")
        # A byte order mark at the very beginning is the file's, not the column's.
        names = [names[0].removeprefix("\ufeff"), *names[1:]]
        assert list(columns) == names, ascii((names, list(columns)))


SECTIONS = {
    "job",
    "runtime",
    "serving",
    "scheduling",
    "data",
    "arguments",
    "labels",
    "environment",
    "study",
    "tiers",
}


def templated(answer: str) -> bool:
    """Return whether the engine may have rendered an answer before the template saw it."""
    return any(mark in answer for mark in TEMPLATE_MARKS)


def constant(source: bytes, name: str) -> Any:
    """Return the value of a constant of a module, without running it."""
    for node in ast.parse(source).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == name and isinstance(node, ast.AnnAssign):
            assert node.value
            return ast.literal_eval(node.value)
    raise AssertionError(f"no {name}")


def columns_written(project: Path) -> list[str]:
    return list(constant((project / "trainer" / "features.py").read_bytes(), "COLUMNS"))


def columns_read(project: Path) -> list[str]:
    """Return the names of the columns as the package reads them, with the modules imported that `check` and --help start with."""
    done = subprocess.run(
        [sys.executable, "-c", READ_COLUMNS],
        cwd=project,
        capture_output=True,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 0, ascii(done.stderr)
    return list(json.loads(done.stdout))


READ_COLUMNS = """
import json
from launcher import project
from launcher.checks import findings
from trainer import features, task
from trainer.data import schema
print(json.dumps(list(schema.read_schema(features).columns)))
"""

KEYWORDS_AND_QUOTES = ["class", 'say "so"', "it's", "a\\b", "ｃｌａｓｓ", "raсe", "日本", "#x"]


def test_projects_with_hostile_columns_pass_the_smoke_test(lived_in: Path, tmp_path: Path) -> None:
    python = python_of(lived_in, "runtime")
    tried = 0
    for number, (answers, names) in enumerate(with_hostile_columns(tmp_path, many(2, 100))):
        try:
            project = bake(tmp_path / str(number), answers)
        except (CookiecutterException, TemplateError):
            continue
        done = subprocess.run(
            [python, "-m", "trainer.task", "--smoke-test"],
            cwd=project,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, ascii(names) + done.stderr[-4000:]
        tried += 1
    print(f"{tried} projects with hostile column names passed the smoke test")
    assert tried


def with_hostile_columns(folder: Path, count: int) -> Iterator[tuple[Answers, list[str]]]:
    """Yield answers whose table has hostile column names: first some that are known to be accepted, then random ones."""
    choose = random.Random(SEED)
    named = {"project_name": "'\"\\ </b> &", "label": "the label"}
    for number in range(count):
        names = [text(choose) for _ in range(3)] if number else KEYWORDS_AND_QUOTES
        (folder / f"table-{number}").mkdir()
        table = write_table(folder / f"table-{number}", names, choose)
        yield {**RIGHT, **named, "data_path": str(table)}, names
