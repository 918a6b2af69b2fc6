"""The commands of the launcher."""

import io
import re
from dataclasses import fields
from pathlib import Path

import pytest
from launcher.__main__ import main
from launcher.commands.deploy import confirm
from launcher.commands.options import COMMANDS, OPTIONS, TABLES, Options, parse
from launcher.console import UserError
from launcher.contract import TASK_MODULE
from launcher.executors.vertex.models import Deployed

from tests.bakery import SOURCES
from tests.launcher.samples import JOB, write_files

MODULES = sorted((SOURCES / "launcher" / "commands").glob("*.py"))
READ = re.compile(r"(?:session\.|self\.|(?<![\w.]))options\.([a-z_]+)")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_lists_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert f"nox -s {command} --" in printed and "SUPPRESS" not in printed


# The help of trainer.task itself follows, if the interpreter can import it.
@pytest.mark.parametrize(
    "command",
    [n for n, each in COMMANDS.items() if each.get("rest_to", TASK_MODULE) != TASK_MODULE],
)
def test_help_names_flags_of_the_module_that_gets_other_arguments(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    printed = capsys.readouterr().out
    module = COMMANDS[command]["rest_to"]
    flags = re.findall("--[a-z-]+", printed.partition(f"python -m {module}:")[2].split("\n\n")[0])
    source = SOURCES.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")
    assert flags and all(f'"{flag}"' in source for flag in flags)
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize("path", MODULES, ids=[path.stem for path in MODULES])
def test_a_command_reads_no_option_that_it_does_not_take(path: Path) -> None:
    read = set(READ.findall(path.read_text(encoding="utf-8")))
    own = COMMANDS.get(path.stem, {"options": OPTIONS})["options"]
    assert read <= {*TABLES["common_options"], *own}


@pytest.mark.parametrize("command", [name for name in COMMANDS if "rest_to" in COMMANDS[name]])
def test_arguments_of_the_trainer_are_no_values_of_options(command: str) -> None:
    options, rest = parse(command, ["--max-steps", "50"])
    assert (options, rest) == (Options(), ["--max-steps", "50"])


@pytest.mark.parametrize(
    "command", ["deploy --undeploy", "submit --trial", "submit --cancel", "predict --run"]
)
def test_an_option_with_an_empty_value_is_refused(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([*command.split(), ""]) == 2  # as of a shell's variable that is not set
    assert f"error: {command.split()[1]} is empty; expected a value" in capsys.readouterr().err


def test_a_command_that_reads_tables_gets_the_client_that_copies_them() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in MODULES}
    reading = {name for name in texts if re.search("fetch_tables|run_prepare", texts[name])}
    assert {name for name in COMMANDS if COMMANDS[name].get("reads_tables")} == reading


def test_each_option_belongs_to_a_command() -> None:
    listed = {option for command in COMMANDS.values() for option in command["options"]}
    assert {*listed, *TABLES["common_options"]} == set(OPTIONS)
    assert {field.name for field in fields(Options)} == set(OPTIONS)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("prepare --dry-run", "--dry-run without --engine; expected --engine vertex, whose job it"),
        ("prepare --engine bigquery --dry-run", "--dry-run with --engine bigquery; expected"),
        ("deploy --promote --dry-run", "--dry-run beside --promote; expected --promote by itself"),
        (
            "deploy --undeploy all --traffic 20",
            "--traffic beside --undeploy; expected --undeploy by itself",
        ),
        ("deploy --promote --run 3", "--run beside --promote; expected --promote by itself"),
        ("deploy --rollback --model m", "--model beside --rollback; expected --rollback by"),
        ("deploy --register-only --traffic 9", "--traffic beside --register-only; expected"),
        ("deploy --register-only --dry-run", "--dry-run beside --register-only; expected"),
        ("submit --list --cancel 12", "--list beside --cancel; expected --cancel by itself; leave"),
        ("submit --dry-run --cancel", "--dry-run beside --cancel; expected --cancel by itself"),
        ("submit --gcloud --fetch", "--gcloud beside --fetch; expected --fetch by itself"),
        ("submit --fetch --cancel", "--fetch beside --cancel; expected --cancel by itself"),
        ("submit --cancel 12 --wait", "--wait beside --cancel; expected --cancel by itself"),
        ("submit --cancel 12 13", "13 beside --cancel; expected --cancel by itself; leave out"),
        ("tune --list --trials 3", "--trials beside --list; expected --list by itself"),
        ("tune --dry-run --cancel", "--dry-run beside --cancel; expected --cancel by itself"),
        ("tune --local --dry-run", "--dry-run beside --local; expected --local by itself"),
        ("batch --list --input rows", "--input beside --list; expected --list by itself"),
        ("batch --cancel --output o", "--output beside --cancel; expected --cancel by itself"),
        ("prepare --again", "--again without --engine; expected --engine vertex, whose job it"),
    ],
)
def test_an_option_that_the_command_would_not_follow_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    error: str,
) -> None:
    monkeypatch.chdir(write_files(tmp_path, {"job.toml": JOB}))
    assert main(command.split()) == 2
    assert error in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("typed", ["y\n", " Y \n", "n\n", "\n", ""], ids=repr)
def test_a_deployed_model_ends_after_a_yes_alone(
    monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))  # Ctrl-D gives no line
    served = Deployed("1", "m@1", "0001", "", "n1-standard-4", "1 to 1", 100)
    if typed.strip().lower() == "y":
        return confirm(served, "e")
    with pytest.raises(UserError, match="undeploy 1 .run 0001. from e is not confirmed"):
        confirm(served, "e")
