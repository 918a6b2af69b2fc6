"""What the package uses that is not there as it is used: replaced names, and calls that do not fit their function.

The linter's type checker finds more; these are found without importing anything, in milliseconds, before each job.
"""

import ast
import copy
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from launcher.checks.names import Name, imports_in, name_findings, prefixes, qualified, rebound
from launcher.checks.problem import Problem
from launcher.checks.source_files import module_name, parsed_modules
from launcher.console import UserError


def replaced_findings(names: Iterable[Name], section: str) -> list[UserError]:
    """Return the names that are `removed` from the libraries, or `outdated`."""
    table = json.loads(Path(__file__).with_name("replaced_names.json").read_text(encoding="utf-8"))
    return name_findings(names, functools.partial(replaced, table[section], section))


def replaced(table: Mapping[str, str], state: str, each: Name) -> Problem | None:
    for name in prefixes(each.name.replace("tensorflow.keras", "keras", 1)):
        if name in table:
            return f"uses {name}, which is {state}", table[name], "write that instead"
    return None


def call_findings(project: Path) -> list[UserError]:
    """Return the calls of the package's functions and classes whose arguments do not fit."""
    known = {
        f"{module_name(file)}.{name}": parameters
        for file, tree in parsed_modules(project)
        for node in tree.body
        if (name := getattr(node, "name", "")) not in rebound(tree)
        and (parameters := parameters_of(node))
    }
    return [
        UserError(
            f"{file}, line {call.lineno}: calls {name} {problem}",
            f"its parameters ({ast.unparse(known[name])})",
            "correct the call, or the function",
        )
        for file, tree in parsed_modules(project)
        for name, call in calls_in(file, tree)
        if name in known and (problem := misfit(known[name], call))
    ]


def parameters_of(node: ast.AST) -> ast.arguments | None:
    """Return the parameters of a function, or of a class that has its own __init__; None if they cannot be known."""
    if getattr(node, "decorator_list", None):
        return None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.args
    for each in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            inner = copy.copy(each.args)
            if inner.posonlyargs:
                inner.posonlyargs = inner.posonlyargs[1:]
            else:
                inner.args = inner.args[1:]
            return inner
    return None


def calls_in(file: str, tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of what is imported, or what the module itself defines."""
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    known = {name: f"{module_name(file)}.{name}" for name in own}
    known |= {local: name for node in ast.walk(tree) for local, name, _ in imports_in(node, file)}
    for name in rebound(tree):
        known.pop(name, None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield qualified(node.func, known), node


def misfit(parameters: ast.arguments, call: ast.Call) -> str:
    """Return how the arguments of a call do not fit, "" if they do or cannot be known."""
    given = {each.arg or "**" for each in call.keywords}
    if "**" in given or any(isinstance(each, ast.Starred) for each in call.args):
        return ""
    positional = [each.arg for each in (*parameters.posonlyargs, *parameters.args)]
    keyword = [each.arg for each in parameters.kwonlyargs]
    if len(call.args) > len(positional) and not parameters.vararg:
        return f"with {len(call.args)} positional arguments"
    if unknown := [] if parameters.kwarg else sorted(given - {*positional, *keyword}):
        return f"with an unknown parameter {unknown[0]}"
    required = positional[len(call.args) : len(positional) - len(parameters.defaults)]
    required += [
        each.arg
        for each, default in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True)
        if not default
    ]
    lacking = [name for name in required if name not in given]
    return f"without its parameter {lacking[0]}" if lacking else ""
