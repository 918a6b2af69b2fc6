"""The folders of local runs and studies below runs/, and what each run was, in `record/` of its folder.

A record holds package, features.py, job.toml, command, data, versions and revision. With it a run is repeated, and a
stopped one is resumed only with the same code, data and settings.
"""

import contextlib
import json
import platform
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from launcher.console import UserError
from launcher.contract import CONFIG, METRICS, SAVED_MODEL
from launcher.files import read_json, write_atomically
from launcher.packaging.environment import site_packages
from launcher.packaging.sdist import archive_files
from launcher.project import Project, fingerprint_of, git_output
from launcher.spec.custom_job import arguments_of

RECORD = Path("record", "run.json")
"""In a job folder; what the run is, written before it starts."""
FOLDER, FILE = RECORD.parts
STUDY_PREFIX = "study-"
MODEL = Path("model", SAVED_MODEL)
JOB_FILE, FEATURES = "job.toml", "trainer/features.py"
DURATIONS = {"epochs", "max-steps", "max-minutes", "patience"}
"""The flags that may differ in a resumed run; trainer/run/resume.py has the same list."""
IGNORED = {*DURATIONS, "data-dir", "quiet", "verbose"}
VERBOSITY = ("-q", "-v")
MOST_NAMED = 3


def numbered(runs: Path, prefix: str = "") -> dict[int, Path]:
    """Return the folders below `runs` whose names are a prefix and at least four digits, by their numbers."""
    name = re.compile(prefix + r"([0-9]{4,})")
    return {
        int(match[1]): path
        for path in runs.glob(f"{prefix}*")
        if path.is_dir() and (match := name.fullmatch(path.name))
    }


def new_folder(runs: Path, prefix: str = "") -> Path:
    """Make and return the next folder, which no other command gets, even if both start at the same time."""
    number = max(numbered(runs, prefix), default=0)
    while True:
        number += 1
        folder = runs / f"{prefix}{number:04d}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


def stopped_run(runs: Path) -> Path | None:
    """Return the newest run if it has not finished; it may be running still."""
    folders = numbered(runs)
    if not folders:
        return None
    newest = folders[max(folders)]
    # Without one of these it is a folder that another command has just made.
    has_begun = any((newest / name).is_file() for name in (RECORD, CONFIG))
    return newest if has_begun and not (newest / METRICS).is_file() else None


def run_folder(run: str, runs: str) -> str:
    """Return the folder of a run, which may be named by its number."""
    return f"{runs}/{int(run):04d}" if run.isdecimal() else run


def next_study(runs: Path, digest: str) -> tuple[Path, bool]:
    """Return the folder of a study, and whether that is an equal one to resume."""
    for folder in numbered(runs, STUDY_PREFIX).values():
        marker = folder / "digest"
        if marker.is_file() and marker.read_text(encoding="utf-8") == digest:
            return folder, True
    folder = new_folder(runs, STUDY_PREFIX)
    (folder / "digest").write_text(digest, encoding="utf-8")
    return folder, False


def best_arguments(runs: Path, trial: str) -> dict[str, str | int | float]:
    """Return the values of a trial of the newest study, `best` or its number; raise `UserError` if there is none."""
    studies = numbered(runs, STUDY_PREFIX)
    finished = [number for number in studies if (studies[number] / "study.json").is_file()]
    if not finished:
        remedy = "run nox -s tune -- --local first"
        raise UserError(f"there is no study in {runs}", "a finished one", remedy)
    path = studies[max(finished)] / "study.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        best = document["best"]
        values = {str(each["trial"]): dict(each["values"]) for each in document["trials"]}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {error})",
            "a file that nox -s tune -- --local of this version has written",
            "remove that file, and run nox -s tune -- --local again",
        ) from error
    if trial == "best" and best is None:
        raise UserError(
            f"no trial of {path.parent.name} has a result",
            "a study with a best trial",
            "see why its trials failed, and run nox -s tune again",
        )
    wanted = str(best) if trial == "best" else trial
    if wanted not in values:
        expected = f"best, or a number from 1 to {len(values)}"
        raise UserError(f"{path.parent.name} has no trial {trial}", expected, "correct --trial")
    return values[wanted]


def newest_model(runs: Path) -> Path:
    """Return the model of the run that finished last; raise `UserError` if there is none."""
    finished = [path for path in runs.glob(f"*/{METRICS}") if (path.parent / MODEL).is_file()]
    if not finished:
        raise UserError(
            f"no run in {runs} has finished with a model",
            "a finished run",
            "run nox -s local_train first, or name a model with --model",
        )
    return (max(finished, key=lambda path: path.stat().st_mtime_ns).parent / MODEL).parent


@dataclass(frozen=True)
class RunRecord:
    custom_job: dict[str, Any]
    """What runs: with the replicas of this machine."""
    package: Path
    """The source distribution."""
    job_file: Path
    data_folder: str
    data_id: str
    uncommitted: list[str] | None
    """The files that differ from the revision of git that the job names; None if git fails."""
    versions: dict[str, str]
    """Of Python and of each distribution; none before the packages are installed."""

    @property
    def flags(self) -> dict[str, str]:
        return flags_of(arguments_of(self.custom_job["jobSpec"]["workerPoolSpecs"][0]))


def write(record: RunRecord, job_dir: Path, versions: Mapping[str, str]) -> None:
    """Keep what a run is, before it starts. A folder to which an unknown run has written stays as it is."""
    folder, package = job_dir / FOLDER, record.package
    if (job_dir / CONFIG).exists() and not folder.exists():
        return
    folder.mkdir(exist_ok=True)
    content = package.read_bytes()
    (folder / package.name).write_bytes(content)
    (folder / JOB_FILE).write_bytes(record.job_file.read_bytes())
    (folder / Path(FEATURES).name).write_bytes(archive_files(content).get(FEATURES, b""))
    document = {
        "command": typed_command(),
        "package": package.name,
        "data": {"id": record.data_id, "folder": record.data_folder},
        "uncommitted": record.uncommitted,
        "versions": versions,
        "job": record.custom_job,
    }
    write_atomically(folder / FILE, json.dumps(document, indent=1) + "\n")


def typed_command() -> str:
    return shlex.join(["nox", "-s", *sys.argv[1:2], "--", *sys.argv[2:]])


def read(job_dir: Path) -> RunRecord | None:
    """Return what a run was, None if its folder does not record that."""
    folder = job_dir / FOLDER
    document = read_json(folder / FILE)
    try:
        return RunRecord(
            document["job"],
            next(folder.glob(document["package"])),
            folder / JOB_FILE,
            document["data"]["folder"],
            document["data"]["id"],
            document["uncommitted"],
            document["versions"],
        )
    except (KeyError, TypeError, StopIteration):
        return None


def differences(record: RunRecord, job_dir: Path) -> list[str]:
    """Return what a run has otherwise than the one that a folder records; nothing if it records none."""
    earlier = read(job_dir)
    if earlier is None:
        return []
    found = [
        *changed_files(earlier.package, record.package),
        *changed_flags(earlier.flags, record.flags, job_dir),
    ]
    return found + ["the prepared data changed"] * (record.data_id != earlier.data_id)


def changed_files(earlier: Path, now: Path) -> Iterator[str]:
    before, after = (archive_files(path.read_bytes()).items() for path in (earlier, now))
    names = sorted({name for name, _ in before ^ after if "PKG-INFO" not in name})
    names = [name for name in names if ".egg-info/" not in name] or names
    if names:
        more = f" and {len(names) - MOST_NAMED} more files" * (len(names) > MOST_NAMED)
        yield f"{', '.join(names[:MOST_NAMED])}{more} changed"


def changed_flags(
    before: Mapping[str, str], now: Mapping[str, str], job_dir: Path
) -> Iterator[str]:
    """Yield the flags with other values. One that was not given had the value that the run chose, as config.json says."""
    settings = read_json(job_dir / CONFIG).get("settings", {})
    # A list is the flag's value without brackets and blanks.
    chosen = {
        name.replace("_", "-"): re.sub(r"[\[\] ]", "", str(settings[name])) for name in settings
    }
    for name in sorted({*before, *now} - IGNORED):
        old, new = before.get(name, chosen.get(name)), now.get(name)
        if new is None:
            yield f"--{name} {old} is no longer given"
        elif old is None or comparable(old) != comparable(new):
            yield f"--{name} changed from {old or 'its default'} to {new}"


def flags_of(words: Sequence[str]) -> dict[str, str]:
    """Return the values of the flags among arguments by their names; of one that is given twice, the last."""
    flags = {}
    for word, following in pairwise([*words, "--"]):
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            is_flag = following.startswith("--") or following in VERBOSITY
            flags[name] = value if equals or is_flag else following
    return flags


def comparable(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value.replace(" ", "")


def data_folder_of(record: RunRecord, name: str, prepared: str) -> str:
    """Return a folder with the data that a run was trained on; raise `UserError` if there is none."""
    for folder in (record.data_folder, prepared):
        if fingerprint_of(folder) == record.data_id:
            return folder
    found = fingerprint_of(prepared)[:16]
    raise UserError(
        f"{name} was trained on the data {record.data_id[:16]}, and {prepared} holds {found or 'none'}",
        "the same prepared data",
        f"restore the table and the options of {name}/{FOLDER}, run nox -s prepare, and repeat the run then",
    )


def versions_of(requirements: Path) -> dict[str, str]:
    """Return the versions of Python and of each distribution in an environment."""
    stems = sorted(path.stem for path in site_packages(requirements).glob("*.dist-info"))
    return {"python": platform.python_version(), **dict(stem.rsplit("-", 1) for stem in stems)}


def changed_versions(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return the versions that are others than when a run was recorded, "" if there are none."""
    changed = [name for name in before if before[name] != now.get(name)]
    return ", ".join(f"{name} {before[name]} (now {now.get(name, 'absent')})" for name in changed)


def uncommitted(project: Project) -> list[str] | None:
    """Return the files that differ from the revision of git, None if git fails, as where there is no repository."""
    output = git_output(project, "status", "--porcelain")
    return None if output is None else output.splitlines()
