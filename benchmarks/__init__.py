"""Benchmarks of this template's trainer against its peers: `nox -s bench`."""
