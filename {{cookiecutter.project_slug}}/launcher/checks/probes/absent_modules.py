"""Run by the interpreter of a clean environment: of the modules on standard input, print those it lacks.

Input and output are JSON lists of dotted names. Nothing is imported but the folders of namespace packages.
"""

import importlib.util
import json
import sys


def is_present(module: str) -> bool:
    """Return whether the module can be found, going into a package only if it is a bare namespace."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        try:
            spec = importlib.util.find_spec(".".join(parts[:end]))
        except (ImportError, ValueError):
            return False
        if spec is None:
            return False
        if spec.origin is not None:
            return True
    return True


def main() -> None:
    json.dump([module for module in json.load(sys.stdin) if not is_present(module)], sys.stdout)


if __name__ == "__main__":
    main()
