"""A baked project whose launcher talks to the doubles."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bakery import bake
from tests.doubles import Doubles, google_cloud
from tests.doubles.lifecycle import Runner
from tests.doubles.server import Json

BUCKET, REGION, PROJECT = "some-bucket-1", "us-central1", "some-project-1"
SLUG = "census-income"
FINGERPRINT = "f" * 64
DATA = f"{BUCKET}/{SLUG}/data/{FINGERPRINT[:16]}"
SHARDS = 12
METRICS = {"auc": 0.5, "split": "test"}
# Checks and preparation have tests of their own, and need environments with TensorFlow and DuckDB. The launcher
# waits long for a silent service, as a laptop may sleep: not here.
DRIVER = """
import json, os, pathlib, sys
from launcher.checks import findings
from launcher.console import UserError
from launcher.commands import batch, deploy, prepare
from launcher.executors.vertex import follow
from launcher.__main__ import main

follow.MAX_SILENCE_SECONDS = 30.0

def known_rows(_, model):
    score = float((model / "saved_model.pb").read_text())
    return [({"age": 39}, {"probability": score}), ({"age": None}, {"probability": score})]


def run_module(_, environment, module, *arguments, folder=None):
    given = dict(zip(arguments[::2], arguments[1::2]))
    rows = open(given["--input"]).read().splitlines()[1:]
    if "--instances" in given:
        lines = [json.dumps({"key": key, "age": row}) for key, row in enumerate(rows)]
    else:
        found = [line for path in pathlib.Path(given["--results"]).rglob("*results*") for line in open(path)]
        lines = [json.dumps(each["prediction"]) for each in sorted(map(json.loads, found), key=lambda r: r["key"])]
    with open(given.get("--instances") or given["--output"], "w") as file:
        print(*lines, sep=chr(10), file=file)
    return 0


text = os.environ.get("STALE_DATA")
stale = [UserError(text, "current data", "prepare it")] if text else []
auc = {"metric": "auc", "goal": "maximize"}
findings.findings = lambda *_: findings.Findings([], stale, auc, [])
prepare.run_prepare = lambda *_, **__: 0
deploy.known_rows = known_rows
batch.Session.run_module = run_module
sys.exit(main(sys.argv[1:]))
"""
UPLOAD = ("prepare", "--upload")
QUICKLY = ("--poll-seconds", "0.1")


@dataclass
class World:
    """A baked project and the cloud that it submits to."""

    project: Path
    cloud: Doubles
    root: Path
    pace: list[float]
    """How long each job runs, in seconds; exit codes are 0 unless `codes` holds another."""
    codes: list[int]

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs one of the launcher's."""
        quickly = QUICKLY if arguments[0] in ("submit", "tune") else ()
        return [sys.executable, "-c", DRIVER, *arguments, *quickly]

    @property
    def variables(self) -> dict[str, str]:
        return {**os.environ, **self.cloud.variables, "PYTHONDONTWRITEBYTECODE": "1"}

    def tried(
        self, *arguments: str, timeout_seconds: float = 100.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, which may fail, but not with a traceback or a timeout."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.project,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command, which must end with this exit code."""
        done = self.tried(*arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.project,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def jobs(self) -> list[Json]:
        """All jobs that were accepted."""
        return [job.resource for job in self.cloud.jobs.jobs.values()]

    def asked_for_job(self, number: int) -> bool:
        """Return whether more than `number` jobs were accepted."""
        return len(self.jobs) > number

    def lost_an_answer(self, _: int) -> bool:
        """Return whether a connection was reset."""
        return any(one.status == 0 for one in self.cloud.faults.log)

    @property
    def packages(self) -> list[Path]:
        return list((self.root / BUCKET).rglob("*.tar.gz"))

    @property
    def submissions(self) -> list[Json]:
        """The recorded submissions, the oldest first."""
        files = sorted((self.project / "runs" / "cloud").glob("*.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def trainer(root: Path, pace: list[float], codes: list[int]) -> Runner:
    """Return a runner that leaves a model and metrics where a trainer would."""

    def run(job: Json, log: Callable[[str], None], cancelled: threading.Event) -> int:
        log("step 1, loss 0.5")
        if cancelled.wait(pace[0]):
            return 143
        if codes[0]:
            log("ValueError: loss is not finite")
            return codes[0]
        uri = job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
        output = root / uri.removeprefix("gs://")
        (output / "model").mkdir(parents=True)
        (output / "model" / "saved_model.pb").write_bytes(b"model")
        (output / "metrics.json").write_text(json.dumps(METRICS))
        return 0

    return run


def write_prepared(project: Path) -> None:
    """Write something that looks like prepared data."""
    folder = project / "data" / "prepared"
    (folder / "train").mkdir(parents=True)
    for number in range(SHARDS):
        content = random.Random(number).randbytes(2000)
        (folder / "train" / f"{number:05}.tfrecord").write_bytes(content)
    (folder / "statistics.json").write_text(json.dumps({"fingerprint": FINGERPRINT}))


@contextlib.contextmanager
def a_world(folder: Path) -> Iterator[World]:
    """Bake a project, prepare its data, and serve a cloud with its bucket within the context."""
    answers = {"gcp_project": PROJECT, "region": REGION, "bucket": BUCKET}
    project = bake(folder / "baked", answers)
    root = folder / "root"
    pace, codes = [0.05], [0]
    with google_cloud(root, trainer(root, pace, codes), pace=0.01) as cloud:
        cloud.storage.create_bucket(BUCKET, REGION)
        write_prepared(project)
        yield World(project, cloud, root, pace, codes)


def put_prepared(world: World) -> None:
    """Put the prepared data into the bucket without the launcher."""
    shutil.copytree(world.project / "data" / "prepared", world.root / DATA)
