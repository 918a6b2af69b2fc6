"""The entry point of the package, undefined names, and paths of this machine in its code."""

import argparse
from pathlib import Path

import pytest
from launcher.checks import entry_point
from launcher.checks import source as source_checks
from launcher.checks.probes.arguments import object_to, objection
from launcher.checks.source import Source

from tests.launcher.samples import one, write_module


def test_an_undefined_name_is_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "import os\n\n\ndef f(rows):\n    return len(rosw) + len(rosw), os")
    found = one(source_checks.ruff_findings(Source(tmp_path), ""))
    assert found.startswith("trainer/a.py, line 5: Undefined name `rosw`; expected a defined name")


@pytest.mark.parametrize(
    ("module", "text", "part"),
    [
        ("trainer.tusk", "", "there is no such module"),
        ("trainer/a.py", "if __name__ == '__main__':\n    f()", "write trainer.a"),
        ("trainer.a:main", "def main():\n    pass", "write trainer.task"),
        ("trainer", "", "there is no such module"),
        ("trainer.a", "def main():\n    pass", "does nothing when it is started"),
        ("trainer.a", "TEXT = '''\nif __name__ == 0: 1\n'''", "does nothing when it is started"),
    ],
)
def test_a_module_that_cannot_be_started_is_reported(
    module: str, text: str, part: str, tmp_path: Path
) -> None:
    write_module(tmp_path, text)
    assert part in one(entry_point.entry_findings(module, Source(tmp_path)))


def test_modules_that_can_be_started_are_not_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "if '__main__' == __name__:\n    main()")
    (tmp_path / "trainer" / "__main__.py").touch()
    for module in ("trainer.a", "trainer"):
        assert entry_point.entry_findings(module, Source(tmp_path)) == []


def test_a_path_of_a_home_folder_in_the_code_is_reported(tmp_path: Path) -> None:
    write_module(tmp_path, "def f():\n    return open('/home/me/t.csv')")
    assert "a path on this machine" in one(source_checks.home_findings(Source(tmp_path)))
    write_module(tmp_path, "TABLE = r'C:\\data\\t.csv'")
    assert "a path on this machine" in one(source_checks.home_findings(Source(tmp_path)))
    write_module(tmp_path, "TABLE = '~/data/t.csv'")
    assert "a path on this machine" in one(source_checks.home_findings(Source(tmp_path)))
    harmless = r"t:\d+", "a:b", "~/.cache", "~/.config/app/key.json", "~/tensorflow_datasets", "~/"
    write_module(tmp_path, f"TEXTS = {harmless!r}")
    assert source_checks.home_findings(Source(tmp_path)) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--share", "half"], ""),
        (["--share", "third"], "KeyError: 'third'"),
        (["--file", "/no/such/file"], ""),
        (["--sahre", "half"], "unrecognized arguments: --sahre half"),
        (["--help"], ""),
    ],
)
def test_whatever_the_reading_of_a_value_raises_is_an_objection(
    flags: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argparse.ArgumentParser, "error", object_to)
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type={"half": 0.5}.__getitem__)
    parser.add_argument("--file", type=open)
    assert objection(parser, argparse.ArgumentParser.parse_args, flags) == expected
