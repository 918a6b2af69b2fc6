"""`nox -s monitor`: whether rows are like those that a model was trained on."""

from launcher.commands.predict import model_of
from launcher.commands.session import Session
from launcher.console import UserError
from launcher.contract import MONITOR_MODULE


def monitor(session: Session) -> int:
    project, options = session.project, session.options
    if not options.input:
        raise UserError("--input is not given", "a table to compare", "name one with --input")
    flags = ["--model", str(model_of(session)), "--input", project.absolute(options.input)]
    flags += [*["-q"] * options.quiet, *session.arguments]
    return session.run_module(project.evaluation, MONITOR_MODULE, *flags)
