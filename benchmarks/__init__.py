"""What this template's trainer is measured against, and how: `nox -s bench`."""
