"""A project whose tables a job prepares with `prepare -- --engine vertex`, and the machine that runs it.

Each job runs the package that was uploaded, as a process whose /gcs is the folder of the storage double.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.doubles import Doubles
from tests.doubles.executor import run_group
from tests.doubles.lifecycle import Runner
from tests.doubles.server import Json

BUCKET, ELSEWHERE, REGION = "penguins-of-v", "penguins-of-w", "us-central1"
SLUG, ROWS, LONGEST_SECONDS = "census-income", 300, 200.0
TRAIN = f"gs://{BUCKET}/in/train*.csv"
# The checks of a package have tests of their own, and need an environment with TensorFlow.
DRIVER = """
import importlib.metadata, sys
from launcher.checks import findings
from launcher.commands import cloud_preparation
from launcher.__main__ import main

findings.findings = lambda *_: findings.Findings([], [], {}, [])
cloud_preparation.install = lambda *_: None
versions = {name: importlib.metadata.version(name) for name in cloud_preparation.PREPARED_WITH}
cloud_preparation.runs.versions_of = lambda _: versions
sys.exit(main(["prepare", "--engine", "vertex", "--poll-seconds", "0.05", *sys.argv[1:]]))
"""
STALE = """
import sys
from launcher.project import Project
from launcher.spec.job_file import read_job
from pathlib import Path
from trainer import prepare

flags = Project(Path.cwd()).preparation_flags(read_job(Path("job.toml")).data)
print(prepare.stale_reasons(flags))
"""
CENSUS = ("--train", "in/train*.csv", "--test", "in/test-a.csv")


@dataclass
class World:
    """A project and the doubles: the same tables lie in both."""

    project: Path
    cloud: Doubles
    root: Path
    lost: dict[str, int | None]
    """Files of a machine whose appearance ends its program, and how that ended: None before."""

    def put(self, name: str, content: bytes, bucket: str = BUCKET) -> None:
        path = self.project / "in" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
        self.cloud.storage.objects.write(bucket, f"in/{name}", content)

    def tables(self, train: str, test: str = "") -> None:
        path = self.project / "job.toml"
        text = re.sub(r'(?m)^train = ".*"$', f'train = "{train}"', path.read_text("utf-8"))
        path.write_text(re.sub(r'(?m)^test = ".*"$', f'test = "{test}"', text), "utf-8")

    @property
    def variables(self) -> dict[str, str]:
        return {**os.environ, **self.cloud.variables, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, *flags: str) -> "subprocess.Popen[str]":
        command, pipe = [sys.executable, "-c", DRIVER, *flags], subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.project, env=self.variables, stdout=pipe, stderr=pipe, text=True
        )

    def ran(self, *flags: str, code: int = 0) -> tuple[str, str]:
        with self.start(*flags) as process:
            printed, said = process.communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == code, said
        assert "Traceback" not in said, said
        return printed, said

    def locally(self, *flags: str) -> dict[str, bytes]:
        """Prepare the copies of the tables on this machine, and return the files."""
        command = [sys.executable, "-m", "trainer.prepare", "--output", "local", "-q", *flags]
        subprocess.run(command, cwd=self.project, check=True)
        return content(self.project / "local")

    def prepared(self) -> dict[str, bytes]:
        """Return the data here, which has to be that in the bucket, and current."""
        here = content(self.project / "data" / "prepared")
        fingerprint = json.loads(here["statistics.json"])["fingerprint"]
        assert content(self.root / BUCKET / SLUG / "data" / fingerprint[:16]) == here
        done = subprocess.run(
            [sys.executable, "-c", STALE],
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "[]\n", done.stdout + done.stderr
        names = {path.name for path in (self.project / "data").glob("*prepared*")}
        assert names == {"prepared", ".prepared.lock", ".prepared.source.json"}
        return here

    def clear(self) -> None:
        """Remove what earlier preparations have left."""
        self.cloud.faults.clear()
        self.cloud.jobs.jobs.clear()
        data = self.project / "data"
        here = (data / "prepared", self.project / "runs" / "preparations")
        for folder in (*here, self.root / BUCKET / SLUG / "data"):
            shutil.rmtree(folder, ignore_errors=True)
        (data / ".prepared.source.json").unlink(missing_ok=True)

    @functools.cached_property
    def undisturbed(self) -> tuple[dict[str, bytes], int]:
        """What the census becomes on this machine, and the number of requests of its preparation in the cloud."""
        expected = self.locally(*CENSUS)
        self.ran()
        assert self.prepared() == expected
        requests = len(self.cloud.faults.log)
        self.clear()
        return expected, requests

    @property
    def jobs(self) -> list[Json]:
        return [job.resource for job in self.cloud.jobs.jobs.values()]

    @property
    def submissions(self) -> list[Json]:
        files = sorted((self.project / "runs" / "preparations").glob("*.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def machine(root: Path, folder: Path, lost: dict[str, int | None]) -> Runner:
    """Return a runner that unpacks the package of a job on a disk of its own, and starts its module, again after each loss."""

    def run(job: Json, log: Callable[[str], None], cancelled: threading.Event) -> int:
        [pool] = job["jobSpec"]["workerPoolSpecs"]
        package = pool["containerSpec"]["command"][-1].removesuffix("[prepare]")
        disk = folder / job["labels"]["run"]
        disk.mkdir(parents=True, exist_ok=True)
        with tarfile.open(root / package.removeprefix("/gcs/")) as archive:
            archive.extractall(disk, filter="data")
        [code] = disk.glob("*/setup.py")
        base = job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
        variables = {"AIP_MODEL_DIR": f"{base}/model/", "GCS_ROOT": str(root), "TMPDIR": str(disk)}
        command = [sys.executable, "-m", "trainer.prepare", *pool["containerSpec"]["args"]]
        for name in [name for name, code in lost.items() if code is None]:
            path = disk / name.format(run=job["labels"]["run"])
            lost[name] = killed_at(path, command, code.parent, variables)
        return run_group(command, code.parent, variables, log, cancelled)

    return run


def killed_at(path: Path, command: list[str], folder: Path, variables: dict[str, str]) -> int:
    """Start a command and kill it when a file appears; return its exit code."""
    environment = {**os.environ, **variables}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not path.exists():
            time.sleep(0.0005)
        process.kill()
    return process.returncode
