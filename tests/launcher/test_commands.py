"""The commands of the launcher."""

import pytest
from launcher.__main__ import main
from launcher.commands.options import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_lists_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"nox -s {command} --" in capsys.readouterr().out
