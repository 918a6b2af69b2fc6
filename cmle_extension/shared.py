"""Modules of the generated project that the prompts use too, so that both read alike; they need the standard library only."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

DATA = Path(__file__).parent.parent / "{{cookiecutter.project_slug}}" / "trainer" / "data"


def trainer_module(name: str) -> Any:
    """Return a module of the template's `trainer/data/`; an import would leave bytecode in what is rendered."""
    path = DATA / f"{name}.py"
    module = ModuleType(f"{__package__}.trainer_{name}")
    sys.modules[module.__name__] = module  # where dataclasses look for it
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


table_files = trainer_module("table_files")
