"""Runs inside the clean environment: what the package makes of features.py, and the errors of its module's own parser.

Standard input is `{"module": NAME, "alone": [FLAGS, ...], "together": FLAGS, "prepare": FLAGS}`. The output has a line of JSON
for each part: `{"asked": "features", "error": TEXT}` or `{..., "task": TASK, "metric": METRIC, "goal": GOAL, "stale": [REASON, ...]}`,
and `{"asked": "flags", "alone": [OBJECTION, ...], "together": OBJECTION, "flags": [FLAG, ...]}`, an objection "" if there is none.
The module is stopped where it parses its flags; for one that does not use argparse the second line is missing.
"""

import argparse
import contextlib
import faulthandler
import json
import os
import runpy
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

LONGEST_SECONDS = 20.0


class Objection(Exception):
    """Says why a parser does not take the arguments."""


def object_to(_parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """Take the place of `ArgumentParser.error`, which would end the process."""
    raise Objection(message)


def objection(parser: argparse.ArgumentParser, parse: Any, flags: list[str]) -> str:
    """Return why the parser does not take the flags, "" if it does."""
    try:
        # A file that a flag names may be there where the job runs.
        with contextlib.suppress(SystemExit, OSError):
            parse(parser, flags)
    except Objection as error:
        return str(error)
    except Exception as error:  # of the function that reads a value
        return f"{type(error).__name__}: {error}"
    return ""


def answer(part: str, **values: Any) -> None:
    print("\n" + json.dumps({"asked": part, **values}), flush=True)


def respond(parser: argparse.ArgumentParser, parse: Any, request: dict[str, Any]) -> NoReturn:
    """Try the flags together, then each alone, when none that is required has to be there; end the process."""
    together = objection(parser, parse, request["together"])
    parts: list[Any] = [*parser._actions, *parser._mutually_exclusive_groups]
    for part in parts:
        part.required = False
    alone = [objection(parser, parse, flags) for flags in request["alone"]]
    answer("flags", alone=alone, together=together, flags=list(parser._option_string_actions))
    os._exit(0)


def refuse_work(event: str, arguments: tuple[Any, ...]) -> None:
    """End the process before a module that does not parse arguments does its real work."""
    writes = event == "open" and set(str(arguments[1] or "")) & set("wax+")
    if event in ("socket.connect", "subprocess.Popen") or (writes and arguments[0] != os.devnull):
        os._exit(0)


def read_features(preparation_flags: Sequence[str], flags: Sequence[str]) -> dict[str, Any]:
    """Return what the package's own functions make of features.py and of --metric; raise what they raise."""
    names = ("features", "data.schema", "prepare", "settings")
    features, schema, prepare, settings = (import_module(f"trainer.{name}") for name in names)
    task = schema.read_schema(features).task
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--metric", nargs="?")
    names, given = settings.metrics_for(task), parser.parse_known_args(flags)[0].metric
    metric = given if given in names else names[0]
    goal, stale = settings.goal_of(metric), prepare.stale_reasons(preparation_flags)
    return {"task": task, "metric": metric, "goal": goal, "stale": stale}


def ask_features(preparation_flags: Sequence[str], flags: Sequence[str]) -> None:
    try:
        answer("features", **read_features(preparation_flags, flags))
    except ImportError:  # a package of the user's own, without these parts
        return
    except Exception as error:
        known = type(error).__name__ == "UserError"
        text = str(error) if known else f"{type(error).__name__}: {error}"
        answer("features", error=text, known=known)


def main() -> None:
    """Start the module as a replica would, and respond when it parses its arguments."""
    request = json.load(sys.stdin)
    parse = argparse.ArgumentParser.parse_args
    parse_known = argparse.ArgumentParser.parse_known_args

    def responding(parse: Any) -> Any:
        def respond_instead(parser: argparse.ArgumentParser, *_: Any, **_named: Any) -> NoReturn:
            argparse.ArgumentParser.parse_known_args = parse_known  # type: ignore[method-assign]
            respond(parser, parse, request)

        return respond_instead

    faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True)
    sys.addaudithook(refuse_work)
    ask_features(request["prepare"], request["together"])
    argparse.ArgumentParser.error = object_to  # type: ignore[assignment,method-assign]
    argparse.ArgumentParser.parse_args = responding(parse)  # type: ignore[method-assign]
    argparse.ArgumentParser.parse_known_args = responding(parse_known)  # type: ignore[method-assign]
    sys.argv = [request["module"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
