"""From a raw table to encoded shards. Needs DuckDB, so training imports nothing of it."""
