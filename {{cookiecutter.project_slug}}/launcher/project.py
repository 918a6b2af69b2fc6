"""The project's folder, what the launcher keeps in it, and what its commands share."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from launcher.console import UserError
from launcher.contract import STATISTICS
from launcher.files import read_json
from launcher.packaging.environment import Environment
from launcher.packaging.sdist import SourceDistribution, archive_files, digest
from launcher.spec.catalog import kind_of
from launcher.spec.custom_job import Run, data_uri, package_uri, starts_own_image
from launcher.spec.job_file import Data, Job
from launcher.subprocesses import clean_variables

SERVING_DOCKERFILE = "Dockerfile.serving"
DOCKERFILES = {"cpu": "Dockerfile", "gpu": "Dockerfile.gpu", "tpu": "Dockerfile.tpu"}
NOT_PREPARED = "not-prepared-yet"
MINUTE, SECONDS = "about a minute the first time", "some seconds"
"""How long it takes to build an environment."""


@dataclass(frozen=True)
class Project:
    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def submissions(self) -> Path:
        return self.runs / "cloud"

    @property
    def packages(self) -> Path:
        """Where built packages lie, each below the digest of its files."""
        return self.folder / ".nox" / "packages"

    @property
    def copies(self) -> Path:
        """Where copies of tables in Cloud Storage lie, by bucket and name."""
        return self.folder / ".nox" / "tables"

    @property
    def training(self) -> Environment:
        """What the cloud's machine has after it installed the package."""
        return Environment(self.folder, "runtime", "local", "training environment", MINUTE)

    @property
    def preparation(self) -> Environment:
        """What preparing data needs, which training must not."""
        purpose = "preparation environment"
        return Environment(self.folder, "preparation", "prepare", purpose, SECONDS)

    @property
    def querying(self) -> Environment:
        """What preparing data in BigQuery needs."""
        return Environment(self.folder, "querying", "bigquery", "query environment", SECONDS)

    @property
    def evaluation(self) -> Environment:
        """What evaluating a model needs, which training must not."""
        purpose = "evaluation environment"
        return Environment(self.folder, "evaluation", "evaluate", purpose, MINUTE)

    @property
    def serving(self) -> Environment:
        """What the image for predictions has."""
        return Environment(self.folder, "serving", "serve", "serving environment", MINUTE)

    def absolute(self, path: str) -> str:
        """Return a path that holds from any folder: relative ones start at the project, URLs and - stay."""
        return path if "://" in path or path == "-" else str(self.folder / Path(path).expanduser())

    def table(self, path: str) -> str:
        """Return the path of a table: `$VAR` is expanded, and one in Cloud Storage becomes its copy here."""
        if path.startswith("gs://"):
            return str(self.copies / path.removeprefix("gs://"))
        whole = self.absolute(path)
        return whole if Path(whole).exists() else self.absolute(os.path.expandvars(path))

    def shown_path(self, path: str | Path) -> str:
        """Return a path relative to the project where it lies below it."""
        inside = Path(path).is_relative_to(self.folder)
        return Path(path).relative_to(self.folder).as_posix() if inside else str(path)

    def is_prepared_in_place(self, data: Data) -> bool:
        """Return whether the prepared data was made of a table in the cloud where that lies, as by BigQuery."""
        output = Path(self.absolute(data.prepared))
        record = read_json(output.with_name(f".{output.name}.source.json"))
        made_of = record.get("tables", {}).get("train", {}).get("path")
        return "://" in data.train and made_of == data.train

    def preparation_flags(self, data: Data, in_place: bool | None = None) -> list[str]:
        """Return the flags of trainer.prepare for the tables and the options of job.toml.

        Tables in Cloud Storage are named by address if `in_place`, else by their copies; by default as they were prepared.
        """
        in_place = self.is_prepared_in_place(data) if in_place is None else in_place
        flags = ["--output", self.absolute(data.prepared)]
        for key, value in data.tables.items():
            flags += [f"--{key}", value if in_place else self.table(value)]
        flags += ["--eval-share", str(data.eval_share), "--split", data.split]
        flags += ["--max-rejected-share", str(data.max_rejected_share)]
        flags += [f"--weight={data.weight}"] if data.weight else []
        return flags + ["--deduplicate"] * data.deduplicate


def run_of(
    project: Project, job: Job, distribution: SourceDistribution, name: str, arguments: list[str]
) -> Run:
    """Return the run `name` of the job with the built package and the prepared data."""
    own = starts_own_image(job)
    return Run(
        name=name,
        package_uri=package_uri(job, distribution.path.name, distribution.content),
        image_content=digest(image_files(project, job, distribution)) if own else "",
        data_uri=data_uri(job, prepared_fingerprint(project, job)),
        arguments=tuple(arguments),
        revision=git_revision(project),
    )


def image_files(
    project: Project, job: Job, distribution: SourceDistribution, dockerfile: str = ""
) -> dict[str, bytes]:
    """Return what an own image is built from: the package, and a Dockerfile, by default that of the job's machines."""
    path = project.folder / (dockerfile or DOCKERFILES[kind_of(job.tier())])
    if not path.is_file():
        raise UserError(f"{path} is missing", "the recipe of the image", "restore it")
    return {**archive_files(distribution.path.read_bytes()), "Dockerfile": path.read_bytes()}


def prepared_fingerprint(project: Project, job: Job) -> str:
    """Return the fingerprint of the prepared data, `NOT_PREPARED` if there is none yet."""
    return fingerprint_of(project.absolute(job.data.prepared)) or NOT_PREPARED


def fingerprint_of(folder: str | Path) -> str:
    """Return the digest of the prepared data in a folder, "" if there is none."""
    return str(read_json(Path(folder, STATISTICS)).get("fingerprint", ""))


def git_revision(project: Project) -> str:
    """Return the revision of git, which the trainer records; "" if there is none."""
    return (git_output(project, "rev-parse", "HEAD") or "").strip()


def git_output(project: Project, *arguments: str) -> str | None:
    """Return what git prints in the project's folder, None if it fails."""
    command = ["git", "-C", str(project.folder), *arguments]
    try:
        # Standard error may have warnings although git succeeds.
        done = subprocess.run(command, env=clean_variables(), capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode(errors="replace")
