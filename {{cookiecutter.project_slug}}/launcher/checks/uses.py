"""What the package uses otherwise than it is: names that libraries do not have, and its own functions.

The linter's type checker finds more calls that do not fit; these are found without importing anything, in milliseconds,
before each job.
"""

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from launcher.checks.names import Name, listed_findings, meanings, module_name, qualified, rebound
from launcher.checks.source import Source
from launcher.console import UserError
from launcher.files import read_json
from launcher.spec.catalog import google_cloud


def replaced_findings(names: Iterable[Name], state: str) -> list[UserError]:
    """Return the names that are `removed` from the libraries, or `outdated`."""
    instead = read_json(Path(__file__).with_name("replaced_names.json"))[state]
    problems = {
        name: (f"uses {name}, which is {state}", instead[name], "write that instead")
        for name in instead
    }
    in_tensorflow = {
        f"tensorflow.{name}": problems[name] for name in problems if name[:6] == "keras."
    }
    return listed_findings(names, in_tensorflow | problems)


def version_findings(names: Iterable[Name], python: str) -> list[UserError]:
    """Return the names of the standard library that Python `python`, such as 3.10, does not have."""
    minor, changes = int(python.partition(".")[2]), google_cloud()["python_changes"]
    expected = f"what Python {python} has, which the job's machines run"
    fix = "write it another way, or choose another image in job.toml [runtime]"
    added, removed = (changes[how].items() for how in ("added", "removed"))
    whats = {name: f"{name} is new in Python 3.{since}" for name, since in added if since > minor}
    whats |= {name: f"{name} was removed in Python 3.{at}" for name, at in removed if at <= minor}
    return listed_findings(names, {name: (what, expected, fix) for name, what in whats.items()})


def lacking_findings(names: Iterable[Name], lacking: Mapping[str, str]) -> list[UserError]:
    """Return the names of libraries that the training environment lacks; `lacking` has a similar one for each, or ""."""
    problems = {
        name: (
            f"uses {name}, which the training environment does not have",
            f"a name that {name.rpartition('.')[0]} holds",
            f"write {guess}" if guess else "require a version that has it in setup.py",
        )
        for name, guess in lacking.items()
    }
    return listed_findings(names, problems)


def call_findings(source: Source) -> Iterator[UserError]:
    """Yield the calls of the package's functions and classes whose arguments do not fit."""
    functions = {
        f"{module_name(file)}.{name}": parameters
        for file, tree in source.trees.items()
        for node in tree.body
        if (name := getattr(node, "name", "")) not in rebound(tree)
        and (parameters := parameters_of(node))
    }
    for file, tree in source.trees.items():
        known = meanings(file, tree)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = qualified(call.func, known)
            if name in functions and (problem := misfit(functions[name], call)):
                what = f"{file}, line {call.lineno}: calls {name} {problem}"
                expected = f"its parameters ({ast.unparse(functions[name])})"
                yield UserError(what, expected, "correct the call, or the function")


def parameters_of(node: ast.AST) -> ast.arguments | None:
    """Return the parameters of a function, or of a class that has its own __init__; None if they cannot be known."""
    if getattr(node, "decorator_list", None):
        return None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.args
    for each in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            inner = copy.deepcopy(each.args)
            del (inner.posonlyargs or inner.args)[:1]
            return inner
    return None


def misfit(parameters: ast.arguments, call: ast.Call) -> str:
    """Return how the arguments of a call do not fit, "" if they do or cannot be known."""
    given = {each.arg or "**" for each in call.keywords}
    if "**" in given or any(isinstance(each, ast.Starred) for each in call.args):
        return ""
    positional = [each.arg for each in (*parameters.posonlyargs, *parameters.args)]
    defaults = zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True)
    keyword = {each.arg: default for each, default in defaults}
    if len(call.args) > len(positional) and not parameters.vararg:
        return f"with {len(call.args)} positional arguments"
    if unknown := [] if parameters.kwarg else sorted(given - {*positional, *keyword}):
        return f"with an unknown parameter {unknown[0]}"
    required = positional[len(call.args) : len(positional) - len(parameters.defaults)]
    required += [name for name, default in keyword.items() if not default]
    lacking = [name for name in required if name not in given]
    return f"without its parameter {lacking[0]}" if lacking else ""
