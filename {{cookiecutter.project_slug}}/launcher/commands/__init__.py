"""One nox session a file, with its options."""
