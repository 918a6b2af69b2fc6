"""`nox -s evaluate`: how good a trained model is on rows that it was not trained on."""

from launcher.commands.predict import model_of
from launcher.commands.prepare import fetch_tables
from launcher.commands.session import Session
from launcher.contract import EVALUATE_MODULE


def evaluate(session: Session) -> int:
    project, options = session.project, session.options
    model = str(model_of(session))
    fetch_tables(project, session.job, session.console)
    flags = [*project.preparation_flags(session.job.data), *session.verbosity, "--model", model]
    flags += ["--input", project.absolute(options.input)] if options.input else []
    return session.run_module(project.evaluation, EVALUATE_MODULE, *flags, *session.arguments)
