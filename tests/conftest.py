"""Every covered answer set, baked once; and a project with a cloud of its own."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bakery import Answers, answer_sets, bake
from tests.deploying import add_run
from tests.mistakes.changes import PAIR
from tests.sessions import ran
from tests.submitting import World, a_world, put_prepared

# The launcher is imported from the template's folder, where compiled files would be baked.
sys.dont_write_bytecode = True


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what the engine leaves in the temporary folder below pytest's own."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def covered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answers]:
    """The covered answer sets by name."""
    return dict(answer_sets(tmp_path_factory.mktemp("tables")))


@pytest.fixture(scope="session")
def baked(covered: dict[str, Answers], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A baked project for each covered answer set."""
    return {
        name: bake(tmp_path_factory.mktemp("baked"), answers) for name, answers in covered.items()
    }


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of defaults that has trained, with its environments, its data, and a tier of two replicas."""
    project = bake(tmp_path_factory.mktemp("lived-in"), {})
    job = project / "job.toml"
    job.write_text(job.read_text(encoding="utf-8") + PAIR, encoding="utf-8")
    ran(project, "local_train", "--max-steps", "1")
    return project


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A project whose data is prepared, and a cloud with its bucket."""
    with a_world(tmp_path) as made:
        yield made


@pytest.fixture
def ready(world: World) -> World:
    """The same with the data uploaded."""
    put_prepared(world)
    return world


@pytest.fixture
def trained(ready: World) -> World:
    """A world in whose project run 1 has trained a model that predicts 0.25."""
    add_run(ready, 1, 0.25)
    examples = ready.project / "data" / "prepared" / "examples.jsonl"
    examples.write_text('{"age": 39, "workclass": null}\n{"age": 1}\n', encoding="utf-8")
    return ready
