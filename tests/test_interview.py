"""The prompts on a terminal: an invalid answer is asked for again, and the rest of the project is as with a valid one."""

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bakery import ROOT

SECONDS = 60
STYLE = re.compile(r"\x1b\[[0-9;]*m")
TABLE = "row,age,plan,zip,churn\n" + "".join(
    f"{number},{20 + number % 40},{'ab'[number % 2]},{number % 9:05d},{('no', 'yes')[number % 3 == 0]}\n"
    for number in range(90)
)


class Interview:
    """A run of cookiecutter on a terminal of 80 columns."""

    def __init__(self, folder: Path) -> None:
        (folder / "customers.csv").write_text(TABLE, encoding="utf-8")
        self.terminal, end = pty.openpty()
        command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--default-config"]
        environment = {**os.environ, "HOME": str(folder), "COLUMNS": "80", "NO_COLOR": "1"}
        self.child = subprocess.Popen(
            command, cwd=folder, stdin=end, stdout=end, stderr=end, env=environment
        )
        os.close(end)
        self.shown = ""

    def until_quiet(self) -> str:
        """Return what is shown until the next question, or the end."""
        text = ""
        while not text.rstrip(" ").endswith("):") and self.readable():
            try:
                text = STYLE.sub("", text + os.read(self.terminal, 4096).decode())
            except OSError:  # how Linux reports the end
                break
        self.shown += text
        return text

    def readable(self) -> bool:
        return bool(select.select([self.terminal], [], [], SECONDS)[0])

    def answer(self, *answers: str) -> list[str]:
        """Give answers, one to each question; return what followed each."""
        followed = []
        for each in answers:
            os.write(self.terminal, f"{each}\n".encode())
            followed.append(self.until_quiet())
        return followed

    def end(self) -> int:
        while self.child.poll() is None:
            self.until_quiet()
        os.close(self.terminal)
        return self.child.returncode


@pytest.fixture
def interview(tmp_path: Path) -> Interview:
    begun = Interview(tmp_path)
    begun.until_quiet()
    return begun


def written(folder: Path, name: str) -> str:
    return (folder / "churn" / name).read_text(encoding="utf-8")


def test_an_invalid_answer_is_asked_for_again(interview: Interview, tmp_path: Path) -> None:
    _, again, after = interview.answer("Churn", "../evil", "")
    assert "project_slug: '../evil' is not a valid folder name" in again
    assert "[2/10]" in again and "(churn):" in again
    assert "[3/10]" in after and "project_slug" not in after
    assert "data_path: " in interview.answer("customer.csv")[0]
    # The label's default is inferred from the corrected path, the columns leave out the corrected label.
    reported = interview.answer("customers.csv", "churned", "churn")[-1].splitlines()
    assert "label    churn: binary, the probability of 'yes' (and not 'no')" in reported
    assert "not used row: row numbers" in reported
    assert "age:numeric, plan:categorical" in interview.shown.replace("\r\n", " ")
    interview.answer("zip:words", "zip:hashed", "", "us-central9", "US-Central1")
    interview.answer("", "basic-gpuu", "basic-gpu", "skip")
    assert interview.end() == 0, interview.shown
    assert '"age": "numeric"' in written(tmp_path, "trainer/features.py")
    assert '"zip": "hashed"' in written(tmp_path, "trainer/features.py")
    assert 'region = "us-central1"' in written(tmp_path, "job.toml")
    assert 'scale_tier = "BASIC_GPU"' in written(tmp_path, "job.toml")
    assert {path.name for path in tmp_path.iterdir()} == {
        *(".cookiecutter_replay", "customers.csv", "churn")
    }


def test_hostile_answers_on_a_terminal_stay_harmless(interview: Interview, tmp_path: Path) -> None:
    hostile = ["{{ 7*7 }}", "[red]x[/red]{% raw %}", "#% set a = 1"]
    for said in interview.answer(*hostile):
        assert "would be evaluated as a" in said and "[1/10]" in said
    interview.answer("Churn", "/etc", "$(touch pwned)", "")
    interview.answer("$HOME/$(touch pwned)", "'~/customers.csv'")
    interview.answer(*[""] * 6, "skip")
    assert interview.end() == 0, interview.shown
    assert re.search(r'train = ".*/customers.csv"', written(tmp_path, "job.toml"))
    assert not (tmp_path / "pwned").exists()


def test_nobody_is_asked_with_no_input_on_a_terminal(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--default-config", "--no-input"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path), "region=mars"],
        stdin=end,
        stdout=end,
        stderr=end,
        timeout=SECONDS,
        check=False,
    )
    os.close(end)
    assert done.returncode == 1 and b"region: 'mars'" in os.read(terminal, 4096)
    os.close(terminal)
