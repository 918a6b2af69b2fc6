"""Bakes projects for tests: covered answer sets, the tables they start from, and the golden copies.

Run as a module, it rewrites the golden copies.
"""

import csv
import gzip
import importlib
import io
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "{{cookiecutter.project_slug}}"
GOLDEN = Path(__file__).parent / "golden"
SAMPLE_FILES = {"data/adult.data.gz", "data/adult.test.gz"}
CACHES = {"__pycache__", ".ruff_cache", ".mypy_cache", ".pytest_cache"}
ROWS = 120

FORMATS = ("comma.csv", "semicolon.csv", "tab.tsv.gz", "table.parquet")
TASKS = ("binary", "multiclass", "regression")
REGIONS = ("us-central1", "europe-west4", "asia-east1")
TIERS = ("BASIC", "STANDARD_1", "PREMIUM_1", "BASIC_GPU", "CUSTOM")
AWKWARD_NAMES = (
    "class",
    "1st",
    "a b",
    "a.b",
    "it's",
    'say "so"',
    "naïve café",
    "colon:comma,",
    "日本",
    "back\\slash",
)
HOSTILE_NAMES = (
    'say "hi"',
    "it's",
    "C:\\new\\table",
    "naïve 日本 🙂",
    "a' + os.abort() + '",
    "# comment",
    "<b>&amp;",
    "x" * 80,
)

COVERED = ("defaults", *(f"{name}-{task}" for name in FORMATS for task in TASKS))

Answers = dict[str, str]


def write_table(folder: Path, file_name: str, task: str) -> Path:
    """Write a table with awkward column names whose label follows from its columns."""
    choose = random.Random(file_name + task)
    rows = [made_up_row(choose, task) for _ in range(ROWS)]
    names = [*AWKWARD_NAMES, f"the {task} target"]
    path = folder / file_name
    if path.suffix == ".parquet":
        write_parquet(path, names, rows)
        return path
    delimiter = {"comma.csv": ",", "semicolon.csv": ";"}.get(file_name, "\t")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([names, *rows])
    content = ("\ufeff" + text.getvalue()).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def made_up_row(choose: random.Random, task: str) -> list[str]:
    """Return text cells: numbers, categories and one column of many values, some of them missing."""
    number = choose.gauss(0, 10)
    cells = [
        f"{number:.3f}",
        *(choose.choice(["red", "grün", "a, b", ""]) for _ in AWKWARD_NAMES[1:]),
    ]
    cells[3] = str(choose.randrange(1000))
    label = {"binary": "yes" if number > 0 else "no", "multiclass": f"class {int(number // 7) % 3}"}
    return [*cells, label.get(task, f"{number * 2:.2f}")]


def write_parquet(path: Path, names: list[str], rows: list[list[str]]) -> None:
    """Write rows as Parquet, the first column as numbers."""
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, list[object]] = {
        name: [row[position] or None for row in rows] for position, name in enumerate(names)
    }
    columns[names[0]] = [float(row[0]) for row in rows]
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def answer_sets(folder: Path) -> Iterator[tuple[str, Answers]]:
    """Yield every covered answer set: each format with each task, other answers in turn."""
    yield "defaults", {}
    for number, (file_name, task) in enumerate((name, task) for name in FORMATS for task in TASKS):
        target = folder / f"{file_name}-{task}"
        target.mkdir(parents=True, exist_ok=True)
        yield (
            f"{file_name}-{task}",
            {
                "project_name": HOSTILE_NAMES[number % len(HOSTILE_NAMES)],
                "project_slug": f"project_{number}",
                "data_path": str(write_table(target, file_name, task)),
                "label": f"the {task} target",
                "region": REGIONS[number % len(REGIONS)],
                "scale_tier": TIERS[number % len(TIERS)],
            },
        )


def bake(output: Path, answers: Mapping[str, str]) -> Path:
    """Bake a project below `output` without the smoke test; return its folder."""
    # Imported here, because the doubles of Google Cloud need this module and no engine.
    from cookiecutter.main import cookiecutter

    given = {"smoke_test": "skip", **answers}
    return Path(
        cookiecutter(
            str(ROOT),
            no_input=True,
            default_config=True,
            output_dir=str(output),
            extra_context=given,
        )
    )


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by relative path, without caches."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not CACHES & set(path.parts)
    }


def changed_by_rendering(project: Path, data_path: str) -> dict[str, str]:
    """Return the rendered files that differ from their sources, with a placeholder for the path of the data."""
    sources = files_of(SOURCES)
    return {
        name: content.decode().replace(data_path or "no path", "/path/to/data")
        for name, content in files_of(project).items()
        if name not in SAMPLE_FILES and sources.get(name) != content
    }


def golden_sets(folder: Path) -> Iterator[tuple[str, Answers]]:
    """Yield the answer sets whose output is kept."""
    kept = ("defaults", "semicolon.csv-multiclass", "table.parquet-regression")
    return ((name, answers) for name, answers in answer_sets(folder) if name in kept)


def write_golden() -> None:
    """Write the golden copies and the expected tree."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, answers in golden_sets(Path(folder) / "tables"):
            project = bake(Path(folder) / name, answers)
            tree = sorted(set(files_of(project)) - SAMPLE_FILES)
            for file_name, text in changed_by_rendering(
                project, answers.get("data_path", "")
            ).items():
                target = GOLDEN / name / f"{file_name}.golden"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8", newline="\n")
        (GOLDEN / "tree.txt").write_text("".join(f"{line}\n" for line in tree), encoding="utf-8")


if __name__ == "__main__":
    write_golden()
    # Imports from this module, which has to be complete by then.
    importlib.import_module("tests.specs").write_specs()
