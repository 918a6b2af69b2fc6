"""Runs one CustomJob from a file: `python -m launcher.executors.local JOB.json --mount DIR`.

Its package is taken from the bucket's mount, unless `--package` names it.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.console import Console, Refused, UserError
from launcher.contract import EXIT_INTERRUPTED, EXIT_USER_ERROR
from launcher.executors.local.cluster import pools_of
from launcher.executors.local.executor import run_custom_job
from launcher.files import locked
from launcher.packaging.environment import install
from launcher.packaging.sdist import building, stored
from launcher.project import Project
from launcher.spec.custom_job import program_of
from launcher.subprocesses import end_children_on_terminate, end_without_parent


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m launcher.executors.local", allow_abbrev=False)
    parser.add_argument("job", type=Path, help="a CustomJob as JSON")
    parser.add_argument("--mount", type=Path, required=True, help="the folder of the buckets")
    parser.add_argument("--package", type=Path, help="the source distribution that the job runs")
    options = parser.parse_args(arguments)
    end_children_on_terminate()
    end_without_parent()
    console = Console()
    project = Project(Path.cwd())
    try:
        custom_job = json.loads(options.job.read_text(encoding="utf-8"))
        # Whoever starts the same file again, as a study does that was killed, waits for this process to end.
        with locked(
            options.job.with_suffix(".lock"), "another process that runs this job", console
        ):
            package = options.package or package_path(custom_job, options.mount)
            with building(project.packages, console):
                distribution = stored(package, project.packages)
            python = install(project.training, distribution, console)
            return run_custom_job(custom_job, python, options.mount.absolute(), console)
    except (UserError, Refused) as error:
        console.error(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR


def package_path(custom_job: Mapping[str, Any], mount: Path) -> Path:
    """Return the package that the job installs, in the bucket's mount; raise `UserError` if its image holds it."""
    _, uri = program_of(pools_of(custom_job)[0])
    if not uri:
        expected = "a job that installs a package"
        raise UserError("the job's image holds its package", expected, "name it with --package")
    return mount / uri.removeprefix("gs://")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
