"""`nox -s smoke`: import the whole package and train one step."""

from launcher.commands.session import Session
from launcher.contract import TASK_MODULE


def smoke(session: Session) -> int:
    session.check()
    arguments = ["--smoke-test", *session.arguments, *session.verbosity]
    return session.run_module(session.project.training, TASK_MODULE, *arguments)
