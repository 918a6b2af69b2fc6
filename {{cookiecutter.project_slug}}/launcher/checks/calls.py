"""Calls of the package's own functions that do not fit them.

The linter's type checker finds more; these are found without importing anything, in milliseconds, before each job.
"""

import ast
import copy
from collections.abc import Iterator

from launcher.checks.names import meanings, qualified, rebound
from launcher.checks.source import Source, module_name
from launcher.console import UserError


def call_findings(source: Source) -> list[UserError]:
    """Return the calls of the package's functions and classes whose arguments do not fit."""
    known = {
        f"{module_name(file)}.{name}": parameters
        for file, tree in source.trees.items()
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
        for file, tree in source.trees.items()
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
    known = meanings(module_name(file), file, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield qualified(node.func, known), node


def misfit(parameters: ast.arguments, call: ast.Call) -> str:
    """Return how the arguments of a call do not fit, "" if they do or cannot be known."""
    given = {each.arg or "**" for each in call.keywords}
    if "**" in given or any(isinstance(each, ast.Starred) for each in call.args):
        return ""
    positional = [each.arg for each in (*parameters.posonlyargs, *parameters.args)]
    keyword = {
        each.arg: default
        for each, default in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True)
    }
    if len(call.args) > len(positional) and not parameters.vararg:
        return f"with {len(call.args)} positional arguments"
    if unknown := [] if parameters.kwarg else sorted(given - {*positional, *keyword}):
        return f"with an unknown parameter {unknown[0]}"
    required = positional[len(call.args) : len(positional) - len(parameters.defaults)]
    required += [name for name, default in keyword.items() if not default]
    lacking = [name for name in required if name not in given]
    return f"without its parameter {lacking[0]}" if lacking else ""
