"""`cruft update`: a project moves from an older commit of the template to a newer one."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bakery import CACHES, ROOT, SOURCES, write_table
from tests.sessions import git

TEMPLATE = ("cookiecutter.json", "cmle_extension", "hooks", SOURCES.name)
# The last commit before launcher/ and trainer/ got their folders.
BEFORE_FOLDERS = "ef93d3d"
LABEL = "the binary target"
EDITS = (
    ("trainer/features.py", '    "a b": "categorical",', '    "a b": "hashed",'),
    ("job.toml", "# epochs = 20", "epochs = 7"),
)
# In what the template has not changed since.
EARLIER_EDITS = (EDITS[0], ("job.toml", "eval_share = 0.1", "eval_share = 0.2"))
RELEASED = ('VERSION = "0.1.0"', 'VERSION = "0.2.0"')
CONFLICTING = ("setup.py", RELEASED[0], 'VERSION = "1.0.0"')

pytestmark = pytest.mark.minute


def commit(folder: Path, message: str) -> str:
    """Commit everything in a repository and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD").strip()


def replaced(path: Path, before: str, after: str) -> None:
    """Replace a text that a file has once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, after), encoding="utf-8")


def cruft(folder: Path, *arguments: str) -> str:
    """Run cruft in a folder, without the settings of whoever runs the test, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cruft", *arguments],
        cwd=folder,
        env={**os.environ, "COOKIECUTTER_CONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def copy_template(target: Path) -> None:
    """Copy the template as it is in the working tree."""
    for name in TEMPLATE:
        source = ROOT / name
        if source.is_file():
            shutil.copy2(source, target / name)
        else:
            ignored = shutil.ignore_patterns(*CACHES)
            shutil.copytree(source, target / name, ignore=ignored)


def create(template: Path, folder: Path, data_path: str, *arguments: str) -> Path:
    """Create a project with cruft below `folder`, and return its own."""
    given = {
        "project_slug": "moving",
        "data_path": data_path,
        "label": LABEL,
        "region": "europe-west4",
        "smoke_test": "skip",
    }
    extra = json.dumps(given)
    cruft(folder, "create", str(template), "--no-input", "--extra-context", extra, *arguments)
    return folder / "moving"


def answers(project: Path) -> dict[str, str]:
    """Return the answers that cruft keeps, without its own entries and the template's."""
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    context = state["context"]["cookiecutter"]
    return {name: value for name, value in context.items() if not name.startswith("_")}


def release(template: Path) -> None:
    """Commit a newer template: a new file with a new filter, a change, a hook that fails unless it is to skip."""
    baked = template / SOURCES.name
    (baked / "NEW.md").write_text("{{ cookiecutter.label | upper_case }}\n", encoding="utf-8")
    before = "environment.filters.update("
    added = f'environment.filters["upper_case"] = str.upper\n        {before}'
    replaced(template / "cmle_extension" / "__init__.py", before, added)
    replaced(baked / "setup.py", *RELEASED)
    hook = template / "hooks" / "post_gen_project.py"
    replaced(hook, 'if SMOKE_TEST == "update":', 'assert SMOKE_TEST != "auto"\n    if True:')
    commit(template, "Release")


def update(project: Path, *edits: tuple[str, str, str]) -> str:
    """Edit a project (file, before, after), update it to the newest template, and return what cruft prints."""
    for name, before, after in edits:
        replaced(project / name, before, after)
    if edits and (project / ".git").is_dir():
        commit(project, "Edit")
    return cruft(project, "update", "--skip-apply-ask", "--checkout", "newest")


def changed_files(project: Path) -> list[str]:
    """Return the files that differ from the last commit."""
    return sorted(git(project, "status", "--porcelain").split()[1::2])


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a template of two commits, a project of the older one, and the project's table."""
    folder = tmp_path_factory.mktemp("updates")
    template = folder / "template"
    template.mkdir()
    copy_template(template)
    git(template, "init", "--quiet", "--initial-branch", "older")
    commit(template, "Start")
    git(template, "checkout", "--quiet", "-b", "newest")
    release(template)
    table = write_table(folder, "comma.csv", "binary")
    # From its own folder on, a project has to find a relative path by the absolute one.
    commit_project(create(template, folder, table.name, "--checkout", "older"))
    return folder


def commit_project(project: Path) -> None:
    """Make a repository of a new project."""
    git(project, "init", "--quiet")
    commit(project, "Create")


@pytest.fixture
def project(created: Path, tmp_path: Path) -> Path:
    """A project just created and committed."""
    return Path(shutil.copytree(created / "moving", tmp_path / "moving"))


def test_an_update_keeps_answers_and_edits(project: Path) -> None:
    before = answers(project)
    update(project, *EDITS)
    assert answers(project) == before
    assert (project / "NEW.md").read_text(encoding="utf-8") == f"{LABEL.upper()}\n"
    assert RELEASED[1] in (project / "setup.py").read_text(encoding="utf-8")
    for name, _, after in EDITS:
        assert after in (project / name).read_text(encoding="utf-8")
    assert changed_files(project) == [".cruft.json", "NEW.md", "setup.py"]


def test_a_conflict_is_shown_in_the_file(project: Path) -> None:
    update(project, CONFLICTING)
    text = (project / "setup.py").read_text(encoding="utf-8")
    ours, theirs = map(re.escape, (CONFLICTING[2], RELEASED[1]))
    assert re.search(f"<{{7}} .*{ours}.*={{7}}.*{theirs}.*>{{7}}", text, re.DOTALL), text
    assert "UU setup.py" in git(project, "status", "--porcelain")


def test_a_conflict_without_git_is_a_reject(project: Path) -> None:
    shutil.rmtree(project / ".git")
    update(project, CONFLICTING)
    assert CONFLICTING[2] in (project / "setup.py").read_text(encoding="utf-8")
    assert f"+{RELEASED[1]}" in (project / "setup.py.rej").read_text(encoding="utf-8")
    assert (project / "NEW.md").is_file()


def test_a_table_that_is_no_longer_there_is_a_warning(created: Path, project: Path) -> None:
    table = created / "comma.csv"
    table.rename(created / "moved.csv")
    try:
        printed = update(project)
    finally:
        (created / "moved.csv").rename(table)
    assert "warning: data_path: " in printed
    assert "does not exist; the project keeps the columns" in printed
    assert changed_files(project) == [".cruft.json", "NEW.md", "setup.py"]


def test_an_update_runs_no_smoke_test(project: Path) -> None:
    update(project, (".cruft.json", '"smoke_test": "skip"', '"smoke_test": "auto"'))
    assert answers(project)["smoke_test"] == "auto"


def has_commit(name: str) -> bool:
    """Return whether this clone has a commit; a shallow one, or a copy without git, has not."""
    command = ["git", "-C", str(ROOT), "cat-file", "-e", f"{name}^{{commit}}"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not has_commit(BEFORE_FOLDERS), reason="this clone has no such commit")
def test_a_project_from_before_the_folders_is_updated(tmp_path: Path) -> None:
    template = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(template))
    git(template, "checkout", "--quiet", "-b", "newest")
    table = write_table(tmp_path, "comma.csv", "binary")
    project = create(template, tmp_path, str(table), "--checkout", BEFORE_FOLDERS)
    commit_project(project)
    assert (project / "trainer/loop.py").is_file()
    for name in TEMPLATE[1:]:
        shutil.rmtree(template / name)
    copy_template(template)
    git(template, "commit", "--quiet", "--all", "--allow-empty", "--message", "Newest")
    update(project, *EARLIER_EDITS)
    assert (project / "trainer/training/loop.py").is_file()
    assert not (project / "trainer/loop.py").exists()
    for name, _, after in EARLIER_EDITS:
        assert f"\n{after}\n" in (project / name).read_text(encoding="utf-8")


def command_in_readme(start: str) -> list[str]:
    """Return the words of the command in the README that begins with `start`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line[2:] for line in text.splitlines() if line.startswith(f"$ {start}")]
    assert len(lines) == 1, lines
    return shlex.split(lines[0])


def test_the_readme_creates_a_project_with_cruft(created: Path, tmp_path: Path) -> None:
    words = command_in_readme("cruft create")[1:]
    words[words.index("https://github.com/org/cmle-template")] = str(created / "template")
    context = words.index("--extra-context") + 1
    words[context] = json.dumps({**json.loads(words[context]), "smoke_test": "skip"})
    shutil.copy(created / "comma.csv", tmp_path / "diamonds.csv")
    cruft(tmp_path, *words)
    assert (tmp_path / "diamonds" / ".cruft.json").is_file()


def test_a_project_created_within_another_one_is_a_new_one(created: Path, project: Path) -> None:
    shutil.copy(created / "comma.csv", project)
    inner = create(created / "template", project, "comma.csv", "--checkout", "older")
    state = json.loads((inner / ".cruft.json").read_text(encoding="utf-8"))
    context = state["context"]["cookiecutter"]
    assert context["__smoke_test"] == "skip"  # not that of an update
    assert context["__data_path"] == str(project / "comma.csv")
