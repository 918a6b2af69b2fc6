"""The preparation's SQL in ZetaSQL, Google's own engine for BigQuery's dialect, beside DuckDB.

It runs in an environment of its own, which has a baked project, DuckDB and ZetaSQL: see `tests/test_dialect.py`.
"""
