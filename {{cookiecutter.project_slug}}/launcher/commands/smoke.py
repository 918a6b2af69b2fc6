"""`nox -s smoke`: import the whole package and train one step."""

import argparse

from launcher.checks.findings import require_sound
from launcher.console import Console
from launcher.packaging.environment import run_module
from launcher.project import Project, build, job_of, levels


def smoke(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Import every module of the installed package and train one step on made-up rows."""
    distribution = build(project, console)
    require_sound(project, job_of(project, given), distribution, [], console)
    arguments = ["trainer.task", "--smoke-test", *rest, *levels(given)]
    return run_module(project.training, arguments, project.folder)
