"""`nox -s smoke`: import the whole package and train one step."""

from launcher.commands.options import Options
from launcher.commands.session import Session
from launcher.console import Console
from launcher.contract import TASK_MODULE
from launcher.packaging.environment import install, run_module
from launcher.project import Project


def smoke(project: Project, options: Options, rest: list[str], console: Console) -> int:
    distribution = Session(project, options.job(project), [], console).build()
    python = install(project.training, distribution, console)
    arguments = [TASK_MODULE, "--smoke-test", *rest, *options.verbosity]
    return run_module(python, arguments, project.folder)
