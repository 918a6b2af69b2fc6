"""What comes out of the template: the tree, the text, the literals, for every covered answer set."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

from tests.bakery import (
    AWKWARD_NAMES,
    COVERED,
    GOLDEN,
    SAMPLE_FILES,
    SOURCES,
    Answers,
    bake,
    changed_by_rendering,
    files_of,
    golden_sets,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_CONDITIONALS = 10
FORBIDDEN_ON_WINDOWS = set('<>:"|?*')
PLACEHOLDERS = re.compile(
    r"\{\{ *(cookiecutter|table|column)|\{%-? *(if|for|end|raw)|^\s*#%", re.MULTILINE
)


def test_the_covered_answer_sets_are_all_baked(covered: dict[str, Answers]) -> None:
    assert tuple(covered) == COVERED


def test_the_tree_is_exactly_the_expected_one(
    baked: dict[str, Path], covered: dict[str, Answers]
) -> None:
    expected = set((GOLDEN / "tree.txt").read_text(encoding="utf-8").split())
    for name, project in baked.items():
        sample = set() if covered[name].get("data_path") else SAMPLE_FILES
        assert set(files_of(project)) == expected | sample, name


def test_golden_copies_are_what_is_baked(baked: dict[str, Path], tmp_path: Path) -> None:
    for name, answers in golden_sets(tmp_path):
        project = bake(tmp_path / "again", answers)
        kept = {
            path.relative_to(GOLDEN / name).as_posix().removesuffix(".golden"): path.read_text(
                encoding="utf-8"
            )
            for path in (GOLDEN / name).rglob("*.golden")
        }
        assert kept, f"no golden copy of {name}: run nox -s golden"
        assert changed_by_rendering(project, answers.get("data_path", "")) == kept, (
            f"{name}: run nox -s golden"
        )


def test_no_placeholder_is_left(baked: dict[str, Path]) -> None:
    for name, project in baked.items():
        for file_name, content in files_of(project).items():
            if file_name not in SAMPLE_FILES:
                found = PLACEHOLDERS.search(content.decode())
                assert not found, f"{name}: {file_name}: {found}"


def test_the_launcher_holds_no_placeholders(baked: dict[str, Path]) -> None:
    sources = files_of(SOURCES / "launcher")
    for name, project in baked.items():
        assert files_of(project / "launcher") == sources, name


def test_text_files_are_tidy(baked: dict[str, Path]) -> None:
    for project in baked.values():
        for name, content in files_of(project).items():
            if name in SAMPLE_FILES:
                continue
            text = content.decode("utf-8")
            assert "\r" not in text, name
            assert text == "" or text.endswith("\n"), name
            assert not any(line != line.rstrip() for line in text.splitlines()), name


def test_python_parses_rendered_and_unrendered(baked: dict[str, Path]) -> None:
    for folder in (SOURCES, *baked.values()):
        sources = [path for path in folder.rglob("*.py") if path.is_file()]
        assert sources
        for path in sources:
            ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_template_files_have_few_conditionals_and_names_that_windows_takes() -> None:
    for name, content in files_of(SOURCES).items():
        assert not FORBIDDEN_ON_WINDOWS & set(name), name
        if ".gz" in name:
            continue
        text = content.decode()
        found = re.findall(r"\{%-?\s*(?:if|elif)\b|^\s*#%\s*(?:if|elif)\b", text, re.MULTILINE)
        assert len(found) <= MOST_CONDITIONALS, name
        assert not text.startswith("PACK"), f"{name}: the engine would take it for binary"


def test_answers_are_read_back_from_the_files_unchanged(
    baked: dict[str, Path], covered: dict[str, Answers]
) -> None:
    for name, project in baked.items():
        answers = covered[name]
        job = tomllib.loads((project / "job.toml").read_text(encoding="utf-8"))
        tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        if not answers:
            continue
        assert job["data"]["train"] == answers["data_path"]
        assert (job["job"]["region"], job["job"]["scale_tier"]) == (
            answers["region"],
            answers["scale_tier"],
        )
        features = runpy.run_path(str(project / "trainer" / "features.py"))
        assert tuple(features["COLUMNS"]) == AWKWARD_NAMES
        assert features["LABEL"] == f"the {features['TASK']} target"
        assert name.endswith(features["TASK"])
        assert answers["project_name"] in (project / "README.md").read_text(encoding="utf-8")


def test_kinds_are_inferred(baked: dict[str, Path]) -> None:
    for name, project in baked.items():
        kinds = runpy.run_path(str(project / "trainer" / "features.py"))["COLUMNS"]
        if name != "defaults":
            assert kinds["class"] == kinds["a.b"] == "numeric"
            assert kinds["a b"] == kinds["日本"] == "categorical"


def test_every_project_passes_ruff(baked: dict[str, Path]) -> None:
    for name, project in baked.items():
        for command in (["check"], ["format", "--check"]):
            found = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", str(project)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert found.returncode == 0, f"{name}: {found.stdout}{found.stderr}"
