"""The commands of the launcher."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from launcher.__main__ import main
from launcher.commands.options import COMMANDS, OPTIONS, TABLES, Options, parse

from tests.bakery import SOURCES

MODULES = sorted((SOURCES / "launcher" / "commands").glob("*.py"))
READ = re.compile(r"(?:session\.|self\.|(?<![\w.]))options\.([a-z_]+)")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_lists_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert f"nox -s {command} --" in printed and "SUPPRESS" not in printed


@pytest.mark.parametrize("path", MODULES, ids=[path.stem for path in MODULES])
def test_a_command_reads_no_option_that_it_does_not_take(path: Path) -> None:
    read = set(READ.findall(path.read_text(encoding="utf-8")))
    own = COMMANDS.get(path.stem, {"options": OPTIONS})["options"]
    assert read <= {*TABLES["common_options"], *own}


@pytest.mark.parametrize("command", [name for name in COMMANDS if "rest_to" in COMMANDS[name]])
def test_arguments_of_the_trainer_are_no_values_of_options(command: str) -> None:
    options, rest = parse(command, ["--max-steps", "50"])
    assert (options, rest) == (Options(), ["--max-steps", "50"])


def test_each_option_belongs_to_a_command() -> None:
    listed = {option for command in COMMANDS.values() for option in command["options"]}
    assert {*listed, *TABLES["common_options"]} == set(OPTIONS)
    assert {field.name for field in fields(Options)} == set(OPTIONS)
