"""The source distribution, the checks of what it holds, and the environments that it is installed into."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from launcher import subprocesses
from launcher.checks.dependencies import own_import_findings
from launcher.checks.shipped_files import data_findings, left_out_findings, shipped_findings
from launcher.checks.source import Source, syntax_findings
from launcher.console import UserError
from launcher.packaging.environment import (
    Environment,
    install,
    settings_of_uv,
    site_packages,
)
from launcher.packaging.sdist import (
    SourceDistribution,
    build_source_distribution,
    digest,
    python_files,
    size_finding,
)
from launcher.project import Project, run_of
from launcher.spec.custom_job import image_uri
from launcher.spec.job_file import Data, Runtime

from tests.launcher.samples import QUIET, job_of, write_files

SETUP = """
from setuptools import find_packages, setup
setup(name="sample", version="1", packages=find_packages(include=["trainer", "trainer.*"]),
      include_package_data=True, install_requires=["numpy>=1.26"],
      extras_require={"local": ["tensorflow>=2; sys_platform != 'x'"], "prepare": ["DuckDB>=1"]})
"""


def built(project: Path) -> SourceDistribution:
    return build_source_distribution(project, project / "packages", QUIET)


@pytest.mark.minute
def test_the_content_of_two_equal_builds_is_equal_and_changes_with_the_code(tmp_path: Path) -> None:
    project = write_files(tmp_path, {"setup.py": SETUP, "trainer/__init__.py": "A = 1\n"})
    first = built(project)
    assert built(project).content == first.content
    write_files(project, {"trainer/__init__.py": "A = 2\n"})
    assert built(project).content != first.content


def test_a_digest_covers_names_and_contents() -> None:
    assert digest({"a": b"b"}) == digest({"a": b"b"})
    assert digest({"ab": b""}) != digest({"a": b"b"})


@pytest.mark.minute
def test_a_folder_without_init_is_found_even_after_it_had_one(tmp_path: Path) -> None:
    files = {"setup.py": SETUP, "trainer/__init__.py": "", "trainer/sub/x.py": ""}
    project = write_files(tmp_path, {**files, "trainer/sub/__init__.py": ""})
    assert not [*left_out_findings(project, built(project).files)]
    (project / "trainer/sub/__init__.py").unlink()
    [finding] = left_out_findings(project, built(project).files)
    assert str(finding).startswith("trainer/sub/x.py is not in the source distribution; expected")
    assert "create trainer/sub/__init__.py" in str(finding)


@pytest.mark.minute
def test_a_data_file_that_the_code_names_must_be_packaged(tmp_path: Path) -> None:
    files = {
        "setup.py": SETUP,
        "trainer/__init__.py": "WORDS = 'lists/words.txt'\n",
        "trainer/lists/words.txt": "one\n",
        "trainer/notes.md": "",
    }
    project = write_files(tmp_path, files)
    [finding] = data_findings(Source(project), built(project).files)
    assert "trainer/lists/words.txt is named in trainer/__init__.py" in str(finding)
    remedy = "package_data={'trainer': ['lists/words.txt']}"
    assert remedy in str(finding)
    write_files(project, {"setup.py": SETUP.replace('name="sample"', f'name="sample", {remedy}')})
    assert data_findings(Source(project), built(project).files) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("words.txt", "which only Windows or macOS take for trainer/lists/Words.txt"),
        ("lists\\\\Words.txt", "letter by letter, and / between folders"),
        ("../LISTS/Words.txt", ""),
        ("*.txt", "add package_data={'trainer': ['lists/Words.txt']}"),
        ("[A-Z][a-z.]*", ""),
        ("*", ""),
        ("words", ""),
    ],
)
def test_a_data_file_under_another_name_is_found(text: str, part: str, tmp_path: Path) -> None:
    files = {"trainer/a.py": f"W = '{text}'\n", "trainer/lists/Words.txt": "one\n"}
    shipped = frozenset({"trainer/lists/Words.txt"} if "LISTS" in text else ())
    found = data_findings(Source(write_files(tmp_path, files)), shipped)
    assert [part in str(each) for each in found] == ([True] if part else [])


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ("setup(", r"setup\.py, line 1: .*never closed; expected syntax of Python"),
        (SETUP.replace("numpy>=1.26", "numpy>=1.26 x"), r"setup\.py requires 'numpy>=1.26 x'"),
        (SETUP.replace("numpy>=1.26", "pandas=2"), r"requires 'pandas=2' \(expected"),
        (SETUP.replace("DuckDB>=1", "./libs/foo"), r"requires './libs/foo'|extras_require"),
        ("raise ValueError('no error')", r"cannot be built \(ValueError: no error\); expected"),
    ],
)
def test_an_invalid_setup_is_refused(tmp_path: Path, setup: str, message: str) -> None:
    project = write_files(tmp_path, {"setup.py": setup, "trainer/__init__.py": ""})
    with pytest.raises(UserError, match=message):
        built(project)


@pytest.mark.minute
def test_a_setup_that_reads_a_file_which_does_not_travel_is_refused(tmp_path: Path) -> None:
    files = {"setup.py": f"open('pins.txt')\n{SETUP}", "pins.txt": "", "trainer/__init__.py": ""}
    distribution = built(write_files(tmp_path, files))
    with pytest.raises(UserError, match=r"cannot be installed \(FileNotFoundError: .*'pins.txt'\)"):
        install(environment_of(tmp_path), distribution, QUIET)


def test_a_large_package_is_reported_with_its_largest_files(tmp_path: Path) -> None:
    archive = tmp_path / "sample-1.tar.gz"
    with tarfile.open(archive, "w") as file:
        for name, size in (("a.bin", 700_000), ("b.bin", 1_600_000), ("c.py", 10)):
            (tmp_path / name).write_bytes(os.urandom(size))
            file.add(tmp_path / name, f"sample-1/trainer/{name}")
    assert size_finding(archive, limit_mb=3) is None
    finding = str(size_finding(archive, limit_mb=2))
    assert "has 2 MB; its largest files: trainer/b.bin (2 MB), trainer/a.bin (1 MB)" in finding


def test_code_that_is_nested_too_deeply_is_one_finding(tmp_path: Path) -> None:
    project = write_files(tmp_path, {"trainer/__init__.py": "", "trainer/a.py": "-" * 50_000 + "1"})
    [finding] = syntax_findings(project)
    assert re.match(r"trainer/a\.py, line 1: \w", str(finding))
    source = Source(project)
    assert not own_import_findings(source) and "trainer/a.py" not in source.trees


def test_a_syntax_error_is_found_with_its_line(tmp_path: Path) -> None:
    files = {"trainer/good.py": "a = 1\n", "trainer/bad.py": "a = 1\nb = = 2\n"}
    project = write_files(tmp_path, files)
    assert python_files(project) == ["trainer/bad.py", "trainer/good.py"]
    [finding] = syntax_findings(project)
    assert str(finding).startswith("trainer/bad.py, line 2: ")


def environment_of(project: Path, extra: str = "local") -> Environment:
    return Environment(project, "runtime", extra, "environment", "a second")


@pytest.mark.minute
@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("numpy>=1.26", "numpy>=2", True),
        ("tensorflow>=2;", "tensorflow>=2.1;", True),
        ("DuckDB>=1", "DuckDB>=2", False),
        ('version="1"', 'version="2"', False),
    ],
)
def test_only_other_requirements_of_its_extra_need_another_environment(
    tmp_path: Path, old: str, new: str, changes: bool
) -> None:
    project = write_files(tmp_path, {"setup.py": SETUP, "trainer/__init__.py": ""})
    before = environment_of(project).requirements(built(project))
    write_files(project, {"setup.py": SETUP.replace(old, new)})
    assert (environment_of(project).requirements(built(project)) != before) is changes


def test_other_pinned_versions_need_another_environment(tmp_path: Path) -> None:
    distribution = SourceDistribution(tmp_path, "x", (), frozenset(), "content")
    folders = {environment_of(tmp_path).requirements(distribution)}
    for version in ("1.26.4", "2.0.0"):
        (tmp_path / "requirements.lock").write_text(f"numpy=={version}\n")
        folders.add(environment_of(tmp_path).requirements(distribution))
    assert len(folders) == 3


@pytest.mark.minute
def test_a_package_stays_as_it_was_built_while_other_code_is_built(tmp_path: Path) -> None:
    project = write_files(tmp_path, {"setup.py": SETUP, "trainer/__init__.py": "A = 1\n"})
    first = built(project)
    before = first.path.read_bytes()
    write_files(project, {"trainer/__init__.py": "A = 2\n"})
    second = built(project)
    assert first.path.read_bytes() == before != second.path.read_bytes()
    write_files(project, {"trainer/__init__.py": "A = 1\n"})
    assert built(project) == first


@pytest.mark.minute
def test_only_packages_that_were_not_used_for_long_are_removed(tmp_path: Path) -> None:
    project = write_files(tmp_path, {"setup.py": SETUP, "trainer/__init__.py": "A = 1\n"})
    old = built(project).path
    os.utime(old.parent, (1, 1))
    assert built(project).path == old  # which is a use
    write_files(project, {"trainer/__init__.py": "A = 2\n"})
    assert built(project).path.is_file() and old.is_file()
    os.utime(old.parent, (1, 1))
    write_files(project, {"trainer/__init__.py": "A = 3\n"})
    assert built(project).path.is_file() and not old.is_file()


PURE = """
from setuptools import setup
setup(name="sample", version="1", packages=["trainer", "trainer.late"])
"""
STARTED = """
import sys
print("started", flush=True)
sys.stdin.readline()
from trainer.late import code
print(code.CODE)
"""


@pytest.mark.minute
def test_a_process_runs_the_code_it_started_with(tmp_path: Path) -> None:
    files = {"setup.py": PURE, "trainer/__init__.py": "", "trainer/task.py": STARTED}
    late = {"trainer/late/__init__.py": "", "trainer/late/code.py": "CODE = 'of the start'"}
    project = write_files(tmp_path, {**files, **late})
    environment = environment_of(project)
    python = install(environment, built(project), QUIET)
    command = [str(python), "-m", "trainer.task"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd="/", stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout and process.stdout.readline() == "started\n"
        write_files(project, {"trainer/late/code.py": "CODE = 'edited'"})
        edited = install(environment, built(project), QUIET)
        assert process.communicate("\n")[0] == "of the start\n"
    done = subprocess.run(
        [str(edited), "-m", "trainer.task"], cwd="/", input="\n", stdout=pipe, text=True, check=True
    )
    assert done.stdout == "started\nedited\n"


@pytest.mark.minute
def test_a_moved_project_uses_the_requirements_beside_it(tmp_path: Path) -> None:
    files = {"setup.py": PURE, "trainer/__init__.py": "", "trainer/late/__init__.py": ""}
    project = write_files(tmp_path / "old", files)
    environment, distribution = environment_of(project), built(project)
    install(environment, distribution, QUIET)
    write_files(site_packages(environment.requirements(distribution)), {"required.py": ""})
    moved = project.rename(tmp_path / "new")
    python = install(environment_of(moved), built(moved), QUIET)
    done = subprocess.run(
        [str(python), "-I", "-c", "import required, trainer"], check=False, cwd="/"
    )
    assert done.returncode == 0


@pytest.mark.minute
def test_the_tag_of_an_own_image_follows_the_package_and_the_dockerfile(tmp_path: Path) -> None:
    files = {"setup.py": SETUP, "trainer/__init__.py": "A = 1\n", "Dockerfile": "FROM a\n"}
    project = Project(write_files(tmp_path, files))

    def image(kind: str = "image", named: str = "") -> str:
        job = job_of(runtime=Runtime(kind, named))
        return image_uri(job, run_of(project, job, built(tmp_path), "run", []))

    first, stock = image(), image("stock")
    write_files(tmp_path, {"Dockerfile": "FROM b\n"})
    second = image()
    write_files(tmp_path, {"trainer/__init__.py": "A = 2\n"})
    assert len({first, second, image()}) == 3
    write_files(tmp_path, {"trainer/__init__.py": "A = 1\n", "Dockerfile": "FROM a\n"})
    assert image() == first
    (tmp_path / "Dockerfile").unlink()
    assert image("stock") == stock and image("image", "a/named:1") == "a/named:1"
    with pytest.raises(UserError, match="Dockerfile is missing"):
        image()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("launcher/console.py", "which stays on this machine"),
        ("data/README.md", "which stays on this machine"),
        ("my/table.csv", "which a job reads from the bucket"),
        ("ready/train/0.parquet", "which a job reads from the bucket"),
        ("trainer/.env", "which is hidden"),
        (".git/config", "which is hidden"),
        ("trainer/keys/id_rsa", "which looks like a key"),
        ("trainer/My-Service-Account.json", "which looks like a key"),
        ("trainer/server.PEM", "which looks like a key"),
        ("trainer/data/shards.py", ""),
        ("trainer/words.txt", ""),
        ("helpers/x.py", ""),
        ("pyproject.toml", ""),
        ("x.egg-info/top_level.txt", ""),
    ],
)
def test_what_must_not_travel_is_found(tmp_path: Path, name: str, part: str) -> None:
    data = Data("my/table.csv", 0.1, 0.1, "ready")
    found = [*shipped_findings([name, "setup.py"], data, tmp_path)]
    assert [part in str(each) for each in found] == [True] * bool(part)
    if part:
        [both] = shipped_findings([name, name], data, tmp_path)
        assert f"{name} (and 1 more)" in str(both)


def test_settings_that_change_what_is_installed_are_named_without_credentials(
    tmp_path: Path,
) -> None:
    variables = {
        "UV_INDEX_URL": "https://me:se%40cret@pypi.corp/simple?token=secret",
        "UV_EXTRA_INDEX_URL": "https://a.example/x https://key-secret@b.example/y",
        "UV_INDEX": "corp=https://user:secret@c.example/simple",
        "UV_INDEX_CORP_PASSWORD": "secret",
        "UV_PUBLISH_TOKEN": "secret",
        "UV_CONSTRAINT": "pins.txt",
        "UV_CACHE_DIR": "/cache",
        "PIP_INDEX_URL": "https://d.example",
        "HTTPS_PROXY": "http://user:secret@proxy",
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    write_files(tmp_path, {"uv/uv.toml": ""})
    settings = settings_of_uv(variables)
    assert "secret" not in "".join(settings) and "user" not in "".join(settings)
    assert settings[:4] == [
        "UV_CONSTRAINT=pins.txt",
        "UV_EXTRA_INDEX_URL=https://a.example/x https://b.example/y",
        "UV_INDEX=corp=https://c.example/simple",
        "UV_INDEX_URL=https://pypi.corp/simple",
    ]
    assert settings[4] == str(tmp_path / "uv" / "uv.toml")
    assert settings_of_uv({"HOME": str(tmp_path / "none")}) in ([], ["/etc/uv/uv.toml"])


def test_a_child_inherits_no_path_to_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("KEPT", "yes")
    variables = subprocesses.clean_variables(MORE="also")
    assert "PYTHONPATH" not in variables
    assert (variables["KEPT"], variables["MORE"]) == ("yes", "also")


def test_the_exit_code_of_a_child_passes_through(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit(7)"]
    given = ("it", command, tmp_path, subprocesses.clean_variables())
    assert subprocesses.run_visible(lambda: subprocesses.Process(*given)) == 7
