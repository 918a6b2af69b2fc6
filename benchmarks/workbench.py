"""The working folder of a benchmark: environments, tables and baked projects, created once and reused."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import synthetic
from benchmarks.measure import BenchmarkFailed, Sample, run

REPOSITORY = Path(__file__).parent.parent
SCRIPTS = Path(__file__).parent
PEERS = SCRIPTS / "peers"
PYTHON_VERSION = "3.11"  # the newest that TensorFlow 2.15, the last with Estimators, has wheels for
PREPARE, RUNTIME = "prepare", "local"  # the extras of the baked package
TRAIN_PART, TEST_PART = 0, 1
SPEED_PACKAGES = ("duckdb", "keras", "lightgbm", "pyarrow", "scikit_learn", "tensorflow_cpu")


@dataclass(frozen=True)
class Table:
    """A training table, a test table, and their schema."""

    name: str
    train: Path
    test: Path
    schema: Path
    rows: int


@dataclass(frozen=True)
class Workbench:
    """The working folder of a benchmark and its options."""

    folder: Path
    quick: bool
    rounds: int
    programs: tuple[str, ...] = ()  # of the benchmarks of accuracy

    def environment(self, name: str) -> Path:
        """Return the interpreter of a peer's environment."""
        return self.built(name, [], PEERS / f"requirements-{name}.txt")

    def ours(self, extra: str) -> Path:
        """Return the interpreter of an environment with what the baked package requires for `extra`."""
        setup = self.baked(self.table(30_000, 16_000)) / "setup.py"
        return self.built(f"ours-{extra}", ["--extra", extra], setup)

    def built(self, name: str, flags: Sequence[str], requirements: Path) -> Path:
        """Return the interpreter of an environment with the requirements of a file, rebuilt if the file changed."""
        folder = self.folder / "environments" / name
        python, record = folder / "bin" / "python", folder / "requirements.txt"
        required = requirements.read_text()
        if not record.exists() or record.read_text() != required:
            print(f"  building the environment {name}", flush=True)
            uv("venv", "--clear", "--python", PYTHON_VERSION, folder)
            install = ("pip", "install", "--compile-bytecode", "--python", python)
            uv(*install, *flags, "-r", requirements)
            record.write_text(required)
        return python

    def versions(self) -> dict[str, list[str]]:
        """Return the versions of the packages that determine speed, by environment."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.folder.glob("environments/*/lib/*/site-packages/*.dist-info")):
            name, _, version = path.name.removesuffix(".dist-info").partition("-")
            if name in SPEED_PACKAGES:
                found.setdefault(path.parents[3].name, []).append(f"{name} {version}")
        return found

    def table(self, rows: int, test_rows: int) -> Table:
        """Return a synthetic table of `rows` training rows and `test_rows` others."""
        folder = self.folder / "tables" / f"synthetic-{rows}"
        folder.mkdir(parents=True, exist_ok=True)
        table = Table(
            folder.name, folder / "train.csv", folder / "test.csv", folder / "schema.json", rows
        )
        for path, count, part in (
            (table.train, rows, TRAIN_PART),
            (table.test, test_rows, TEST_PART),
        ):
            if not path.exists():
                synthetic.write_table(path, count, part)
        table.schema.write_text(json.dumps(synthetic.SCHEMA))
        return table

    def template(self) -> Path:
        """Return a copy of the template without tool caches, which cookiecutter would bake, or fail on."""
        folder = self.folder / "template"
        shutil.rmtree(folder, ignore_errors=True)
        left_behind = shutil.ignore_patterns("__pycache__", ".*_cache")
        for name in ("cmle_extension", "hooks", "{{cookiecutter.project_slug}}"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=left_behind)
        shutil.copy2(REPOSITORY / "cookiecutter.json", folder)
        return folder

    def baked(self, table: Table) -> Path:
        """Return a project baked for the columns of `table`."""
        from cookiecutter.main import cookiecutter

        schema = json.loads(table.schema.read_text())
        kinds = {name: "numeric" for name in schema["numeric"]} | {
            name: "hashed" if name in schema.get("hashed", ()) else "categorical"
            for name in schema["categorical"]
        }
        answers: dict[str, Any] = {
            "project_name": table.name,
            "data_path": str(table.train),
            "label": schema["label"],
            "features": ",".join(f"{name}:{kind}" for name, kind in kinds.items()),
            "smoke_test": "skip",
        }
        return Path(
            cookiecutter(
                str(self.template()),
                no_input=True,
                default_config=True,
                overwrite_if_exists=True,
                extra_context=answers,
                output_dir=str(self.folder / "projects"),
            )
        )

    def peer(self, name: str, environment: str, table: Table, epochs: int) -> Callable[[], Sample]:
        """Return a run of a peer's program, from the CSV file to its exported model."""
        python = self.environment(environment)
        output = self.folder / "outputs" / name
        paths = ("--schema", table.schema, "--train", table.train, "--test", table.test)
        command = [
            python,
            PEERS / f"{name}.py",
            *paths,
            "--output",
            output,
            "--epochs",
            str(epochs),
        ]

        def measured() -> Sample:
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
            return run(command, self.folder)

        return measured

    def prepare(self, table: Table, output: Path) -> Callable[[], Sample]:
        """Return a run of our preparation of a table."""
        project, python = self.baked(table), self.ours(PREPARE)
        paths = ("--train", table.train, "--test", table.test, "--output", output)

        def measured() -> Sample:
            shutil.rmtree(output, ignore_errors=True)
            return run([python, "-m", "trainer.prepare", *paths, "--quiet"], project)

        return measured

    def prepared(self, table: Table) -> Path:
        """Return the folder of a table's prepared data, prepared now."""
        output = self.folder / "outputs" / f"prepared-{table.name}"
        self.prepare(table, output)()
        return output

    def train(self, table: Table, data: Path, epochs: int) -> Callable[[], Sample]:
        """Return a run of our training on prepared data, 0 epochs: by default; its report is that of `metrics.json`."""
        return self.trained(table, ("-m", "trainer.task", "--data-dir", data), epochs)

    def prepare_and_train(self, table: Table, epochs: int) -> Callable[[], Sample]:
        """Return our preparation and training as one run, beside the import of TensorFlow."""
        data = self.folder / "outputs" / f"prepared-{table.name}"
        tables = ("--train", table.train, "--test", table.test, "--data-dir", data)
        script = SCRIPTS / "ours" / "local_train.py"
        prepares = ("--prepare", self.ours(PREPARE))
        return self.trained(table, (script, *prepares, *tables), epochs, data)

    def trained(
        self, table: Table, program: Sequence[object], epochs: int, made: Path | None = None
    ) -> Callable[[], Sample]:
        """Return a run of a program that trains in the project of a table, which has yet to make the folder `made`."""
        project, python = self.baked(table), self.ours(RUNTIME)
        output = self.folder / "outputs" / "ours"
        length = ("--quality", "fast", "--epochs", str(epochs)) if epochs else ()

        def measured() -> Sample:
            for folder in filter(None, (output, made)):
                shutil.rmtree(folder, ignore_errors=True)
            sample = run([python, *program, "--job-dir", output, *length, "--quiet"], project)
            metrics = json.loads((output / "metrics.json").read_text())
            metrics["metric"] = metrics.get("auc", metrics.get("rmse"))
            return Sample(sample.seconds, sample.peak_mb, metrics)

        return measured


def uv(*arguments: object) -> None:
    """Run uv; raise `BenchmarkFailed` if it fails."""
    if subprocess.run(["uv", "--quiet", *map(str, arguments)], check=False).returncode:
        raise BenchmarkFailed(
            f"uv {' '.join(map(str, arguments))} failed",
            "every requirement to be installable",
            "read uv's output above; the first run needs a network",
        )
