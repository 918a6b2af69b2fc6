"""The requirements in setup.py, and the wheels that they install."""

from pathlib import Path

import pytest
from launcher.checks import requirements
from launcher.packaging.sdist import SourceDistribution

from tests.launcher.samples import one, write_files


@pytest.mark.parametrize(
    "requirement",
    ["==2.15.*", "==2.15.1", "<2.21", "~=2.20.0", ">=2.22", ">=2.10,<2.16", "!=2.21.*", "~=3.0"],
)
def test_another_tensorflow_than_that_of_the_image_is_reported(requirement: str) -> None:
    line = f'tensorflow-cpu{requirement}; extra == "local"'
    assert "have TensorFlow 2.21" in one(requirements.tensorflow_findings([line], "2.21"))


def test_the_tensorflow_of_the_image_is_not_reported() -> None:
    for requirement in ("==2.21.*", "==2.21.0", ">=2.20", "~=2.20", ">=2.21,<2.22", "", "!=2.20.*"):
        line = f'tensorflow{requirement}; extra == "local"'
        assert requirements.tensorflow_findings([line], "2.21") == []
    other = [
        'tensorflow; extra == "local"',
        'tensorflow-text==2.15; extra == "text"',
        'tensorflow==2.15; extra == "old"',
    ]
    assert requirements.tensorflow_findings(other, "2.21") == []


def test_a_missing_tensorflow_is_reported() -> None:
    for lines in ([], ["numpy"], ['tensorflow==2.21.*; extra == "locall"']):
        assert 'in EXTRAS["local"]' in one(requirements.tensorflow_findings(lines, "2.21"))


def test_a_tensorflow_that_would_replace_that_of_the_image_is_reported() -> None:
    for name in ("tensorflow==2.21.0", "Tensorflow_CPU>=2", "tf-nightly"):
        assert 'EXTRAS["local"]' in one(requirements.tensorflow_findings([name], "2.21"))


def distribution_of(*lines: str, python: str = "") -> SourceDistribution:
    required = (*lines, 'tensorflow; extra == "local"')
    return SourceDistribution(Path("x.tar.gz"), "x", required, frozenset(), "", python)


def test_requirements_by_path_or_address_are_reported(tmp_path: Path) -> None:
    lines = (
        "numpy>=1.26",
        "foo @ file:///home/me/foo",
        "bar @ git+https://example.com/bar",
        'baz @ file:///tmp/baz ; extra == "local"',
    )
    found = [*requirements.requirement_findings(distribution_of(*lines), "", "3.11")]
    assert "foo @ file:///home/me/foo, a path" in one(found)
    assert "by its address" in one(
        [*requirements.requirement_warnings(distribution_of(*lines), tmp_path)]
    )


@pytest.mark.parametrize(
    "line", ["pathlib", "JSON>=1", "argparse; python_version < '3'", "concurrent"]
)
def test_a_part_of_python_is_no_requirement(line: str) -> None:
    found = [*requirements.requirement_findings(distribution_of(line), "", "")]
    assert "which is a part of Python" in one(found)


@pytest.mark.parametrize(
    ("requires", "python", "fits"),
    [
        (">=3.10", "3.11", True),
        (">=3.12", "3.11", False),
        ("<3.11", "3.11", False),
        ("", "3.11", True),
        (">=3.14", "", True),
    ],
)
def test_python_requires_must_admit_the_python_of_the_job(
    requires: str, python: str, fits: bool
) -> None:
    found = [*requirements.requirement_findings(distribution_of(python=requires), "", python)]
    assert found == [] if fits else "python_requires" in one(found)


def test_a_distribution_that_was_compiled_here_is_reported(tmp_path: Path) -> None:
    for name, tag in (("numpy-2.0", "manylinux_2_17_x86_64"), ("uwsgi-2.0.21", "linux_x86_64")):
        write_files(
            tmp_path, {f"{name}.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: cp311-cp311-{tag}\n"}
        )
    assert "uwsgi==2.0.21 has no wheel" in one(
        [*requirements.requirement_warnings(distribution_of(), tmp_path)]
    )
