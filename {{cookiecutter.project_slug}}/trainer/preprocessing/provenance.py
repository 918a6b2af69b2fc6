"""What is to be prepared, and the record of what prepared data was made from.

The record names local paths, so it lies beside the prepared data, which is uploaded.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import trainer
from trainer.data import files
from trainer.data.schema import Schema
from trainer.data.statistics import prepared_fingerprint
from trainer.data.table_files import files_of
from trainer.run.console import shown_path
from trainer.run.errors import UserError, shown
from trainer.run.outputs import read_json, write_json

CODE = ("prepare.py", "data/*.py", "preprocessing/*.py")
LIBRARIES = ("duckdb", "pyarrow", "sqlglot")
BLOCK_BYTES = 1 << 20
CHANGES_SHOWN = 4


class Address(PurePosixPath):
    """The address of a table in the cloud, gs://… or bq://…, in the place of a path."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def is_file(self) -> bool:
        return False


@dataclass(frozen=True)
class Request:
    train: Path
    test: Path | None
    output: Path
    eval_share: float
    max_rejected_share: float
    deduplicate: bool
    memory_mb: int
    """What SQL may hold in memory; 0: what the table needs."""
    split: str = "random"
    fold: tuple[int, int] | None = None
    """Which part of the train table is the test split, from 1, and of how many; None: the test table is."""
    weight: str = ""
    """The column that holds the weight of each row, "" for none."""
    engine: str = "local"
    project: str = ""
    """The Google Cloud project that queries of BigQuery are billed to."""
    work: str = ""
    """A folder of a bucket, gs://BUCKET/FOLDER, for what BigQuery reads and writes."""
    most_gb: int = 0
    """The most that all queries may bill, in 10^9 bytes."""
    job_dir: Path | None = None
    """The folder of a job, for what is to outlive its machine; None: beside the output."""

    @property
    def rule(self) -> tuple[str, str]:
        """How the train table is split, and by which column: "" for none."""
        return self.split.partition(":")[::2]

    @property
    def tables(self) -> dict[str, Path]:
        return {"train": self.train, **({"test": self.test} if self.test else {})}

    @property
    def rejects(self) -> Path:
        """Where the rejects of a failed run are kept."""
        if self.job_dir:
            return self.job_dir / files.REJECTS
        return self.output.with_name(f"{self.output.name}.{files.REJECTS}")

    @property
    def lock(self) -> Path:
        """Beside the output, which is replaced while the lock is held."""
        return self.output.with_name(f".{self.output.name}.lock")

    @property
    def record(self) -> Path:
        if self.job_dir:
            return self.job_dir / files.SOURCE
        return self.output.with_name(f".{self.output.name}.source.json")


def check_request(request: Request) -> None:
    for flag, share in (
        ("--eval-share", request.eval_share),
        ("--max-rejected-share", request.max_rejected_share),
    ):
        if not 0 <= share < 1:
            raise UserError(
                f"{flag} is {share}", "a number >= 0 and < 1", f"write {flag} 0.1, for example"
            )
    if request.memory_mb < 0:  # DuckDB would take it for no limit
        fix = "leave it out, or write --memory-mb 1000, for example"
        raise UserError(f"--memory-mb is {request.memory_mb}", "a number of MB", fix)
    output = request.output
    if output.exists() and not output.is_dir():
        raise UserError(
            f"{output} is a file", "a folder for prepared data", "name another --output"
        )
    if output.is_dir() and any(output.iterdir()) and not (output / files.STATISTICS).is_file():
        raise UserError(
            f"{output} holds other files",
            "an empty folder, or one that an earlier run has prepared",
            "name another --output; nothing was changed",
        )


def write_record(
    request: Request, schema: Schema, fingerprint: str, findings: Sequence[str]
) -> None:
    """Record the source of prepared data, and what was found in it, for those who use it again."""
    record = {"fingerprint": fingerprint, "findings": [*findings]}
    write_json(request.record, {**source_of(request, schema), **record})


def recorded_findings(request: Request) -> list[str]:
    return [*map(str, (read_json(request.record) or {}).get("findings", ()))]


def stale_reasons(request: Request, schema: Schema) -> list[str]:
    """Return why `request.output` is not what the tables, columns, options and code give; empty if it is."""
    fingerprint = prepared_fingerprint(request.output)
    if fingerprint is None:
        return ["nothing is prepared yet"]
    record = read_json(request.record) or {}
    if record.get("fingerprint") != fingerprint:
        return [f"{shown_path(request.record)} does not record what it was made from"]
    try:
        return [*changes(record, source_of(request, schema))]
    except (KeyError, TypeError, AttributeError):  # a record of another version
        return ["made by other preparing code"]


def source_of(request: Request, schema: Schema) -> dict[str, Any]:
    """Return everything that determines the prepared data, as JSON values."""
    package = Path(trainer.__file__).parent
    features = {name.upper(): value for name, value in asdict(schema).items() if name != "columns"}
    source = {
        "columns": schema.columns,
        "features": {**features, "COLUMNS in the order": [*schema.columns]},
        "made with": {
            "--eval-share": request.eval_share,
            "--split": request.split,
            "--weight": shown(request.weight) if request.weight else "absent",
            **({"--fold": request.fold} if request.fold else {}),
            "--deduplicate": request.deduplicate,
            **versions(),
        },
        "tables": {
            split: {"path": str(path), "files": state_of(path)}
            for split, path in request.tables.items()
        },
        "code": digest(package, (path for pattern in CODE for path in package.glob(pattern))),
    }
    return dict(json.loads(json.dumps(source)))


def state_of(path: Path) -> dict[str, list[int]]:
    """Return size and time of the last change of each file of a table, by names that stay if the table is moved."""
    if isinstance(path, Address):  # only its engine knows whether it has changed
        return {str(path): []}
    root, paths = files_of(path)
    states = {each.relative_to(root).as_posix(): each.stat() for each in paths}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


def digest(folder: Path, paths: Iterable[Path]) -> str:
    """Return a digest of the content and the names, relative to `folder`, of files in any order."""
    total = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        content = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                content.update(block)
        total.update(f"{name}\0{content.hexdigest()}\n".encode())
    return total.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of what prepares, empty in an environment that cannot prepare."""
    try:
        return {name: importlib.metadata.version(name) for name in LIBRARIES}
    except importlib.metadata.PackageNotFoundError:
        return {}


def changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    columns = differences(earlier["columns"], now["columns"], ": ")
    if declared := [*columns, *differences(earlier["features"], now["features"], ": ")]:
        more = ", …" if len(declared) > CHANGES_SHOWN else ""
        yield f"made from another features.py ({', '.join(declared[:CHANGES_SHOWN])}{more})"
    # The versions are unknown in an environment that cannot prepare.
    unknown = {*LIBRARIES} - {*now["made with"]}
    comparable = {k: value for k, value in earlier["made with"].items() if k not in unknown}
    for difference in differences(comparable, now["made with"], " "):
        yield f"made with {difference}"
    for split in ("train", "test"):
        yield from table_changes(split, earlier["tables"].get(split), now["tables"].get(split))
    if earlier["code"] != now["code"]:
        yield "made by other preparing code"


def table_changes(
    split: str, earlier: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> Iterator[str]:
    """Yield how a table differs; a table that was only moved does not."""
    before, after = (table["path"] if table else "absent" for table in (earlier, now))
    if earlier and now and earlier["files"] == now["files"]:
        return
    if before != after:
        yield f"made with the {split} table {before}, now {after}"
    elif now:
        yield f"the table {shown_path(Path(after))} {'has changed since' if now['files'] else 'is gone'}"


def differences(
    earlier: Mapping[str, Any], now: Mapping[str, Any], separator: str
) -> Iterator[str]:
    for name in {**earlier, **now}:
        before, after = (each.get(name, "absent") for each in (earlier, now))
        if before != after:
            yield f"{name}{separator}{before}, now {after}"
