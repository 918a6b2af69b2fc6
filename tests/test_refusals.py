"""Refusals through the engine: one line in three parts, exit code 1, and nothing on disk."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cmle_extension.recorded import recorded_answers
from tests.bakery import ROOT, write_table

# One for each prompt, as the rules have tests of their own.
REFUSED = [
    ({"project_name": " "}, "project_name: "),
    ({"project_slug": "../evil"}, "project_slug: '../evil'"),
    ({"data_path": "no/such/table.csv"}, "data_path: "),
    ({"label": "nothing"}, "label: "),
    ({"features": "ages:numeric"}, "features: "),
    ({"gcp_project": "My Project"}, "gcp_project: 'My Project'"),
    ({"region": "us-centrall"}, "us-central1"),
    ({"bucket": "gs://bucket"}, "bucket: "),
    ({"scale_tier": "BASIC_GPU", "region": "africa-south1"}, "scale_tier: "),
    ({"smoke_test": "maybe"}, "'maybe'"),
    ({"data-path": "table.csv"}, "'data-path': no prompt has this name"),
    ({"__data_path": "table.csv"}, "'__data_path': no prompt has this name"),
]

BAD_TABLES = [
    ("empty.csv", b"", "is empty"),
    ("one_class.csv", b"a,b\n1,x\n2,x\n3,x\n", "1 different value"),
    ("mixed.csv", "a,b\n1,éé\n".encode() + b"2,\xe9\n", "UTF-8"),
    ("jinja.csv", b"a,{{ x }}\n1,2\n", "{{"),
]


def cookiecutter(
    folder: Path, answers: dict[str, str], *options: str, start: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the engine as a user would, in the folder `start`, its output below `folder`."""
    given = [f"{name}={value}" for name, value in answers.items()]
    output = folder / "output"
    output.mkdir()
    command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--default-config"]
    return subprocess.run(
        [*command, *options, "-o", str(output), *given],
        cwd=start,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_refused(folder: Path, done: subprocess.CompletedProcess[str], part: str) -> None:
    """Check the exit code, the message, and that nothing is left."""
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == 1, said
    assert len(said.splitlines()) == 1, said
    assert part in said and "; expected " in said and said.count("; ") >= 2, said
    assert list((folder / "output").iterdir()) == []


@pytest.mark.parametrize(("answers", "part"), REFUSED, ids=[str(answers) for answers, _ in REFUSED])
def test_a_bad_answer_is_refused_in_one_line(
    tmp_path: Path, answers: dict[str, str], part: str
) -> None:
    assert_refused(tmp_path, cookiecutter(tmp_path, answers), part)


@pytest.mark.parametrize(
    ("name", "content", "part"), BAD_TABLES, ids=[name for name, _, _ in BAD_TABLES]
)
def test_a_bad_table_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, part: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert_refused(tmp_path, cookiecutter(tmp_path, {"data_path": str(path)}), part)


def test_refusals_need_no_hooks(tmp_path: Path) -> None:
    done = cookiecutter(tmp_path, {"project_slug": "../evil"}, "--accept-hooks", "no")
    assert_refused(tmp_path, done, "project_slug: ")


def test_a_relative_path_counts_from_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path, "comma.csv", "binary")
    monkeypatch.chdir(tmp_path)
    done = cookiecutter(
        tmp_path,
        {
            "data_path": "comma.csv",
            "project_slug": "here",
            "smoke_test": "skip",
            "label": "the binary target",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(table) in (tmp_path / "output" / "here" / "job.toml").read_text(encoding="utf-8")


@pytest.mark.minute
def test_cruft_refuses_too_and_creates_otherwise(tmp_path: Path) -> None:
    source = tmp_path / "template"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    for name, code in (("../evil", 1), ("fine", 0)):
        output = tmp_path / f"output{code}"
        output.mkdir()
        extra = f'{{"project_slug": "{name}", "smoke_test": "skip"}}'
        command = [
            sys.executable,
            "-m",
            "cruft",
            "create",
            str(source),
            "--no-input",
            "--output-dir",
            str(output),
        ]
        done = subprocess.run(
            [*command, "--extra-context", extra], capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert [path.name for path in output.iterdir()] == (["fine"] if code == 0 else []), said
        assert code == 0 or "FailedHookException: project_slug: '../evil'" in said, said


def test_a_table_is_checked_inside_another_project_too(tmp_path: Path) -> None:
    """Only `cruft update` takes what the project was created from as it is."""
    table = tmp_path / "sales.csv"
    rows = "".join(f"{number / 4},{'uvw'[number % 3]},{number % 2}\n" for number in range(40))
    table.write_text(f"a,b,y\n{rows}Total,,\n", encoding="utf-8")
    state = {"context": {"cookiecutter": {"data_path": ""}}}
    (tmp_path / ".cruft.json").write_text(json.dumps(state), encoding="utf-8")
    done = cookiecutter(tmp_path, {"data_path": str(table)}, start=tmp_path)
    assert_refused(tmp_path, done, "looks like the total")


@pytest.mark.parametrize(
    ("answers", "recorded"),
    [({"data_path": "a.csv"}, {"data_path": "a.csv"}), ({"full_name": "A"}, {})],
    ids=["this template", "another template"],
)
def test_cruft_records_the_answers_of_this_template_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], recorded: object
) -> None:
    state = {"context": {"cookiecutter": answers}}
    (tmp_path / ".cruft.json").write_text(json.dumps(state), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "cruft", ModuleType("cruft"))
    assert recorded_answers() == recorded


def test_a_replay_file_with_some_of_the_answers_is_refused(tmp_path: Path) -> None:
    replay = tmp_path / "replay.json"
    replay.write_text('{"cookiecutter": {"project_name": "Sales"}}', encoding="utf-8")
    command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--default-config"]
    (tmp_path / "output").mkdir()
    done = subprocess.run(
        [*command, "--replay-file", str(replay), "-o", str(tmp_path / "output")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(tmp_path, done, "project_name: the replay file")
