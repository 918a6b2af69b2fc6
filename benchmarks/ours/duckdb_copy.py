"""What DuckDB alone needs to read a CSV file and write Parquet: the floor of any preparation."""

import argparse
from pathlib import Path


def main() -> None:
    """Copy a file."""
    import duckdb

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    connection = duckdb.connect(config={"memory_limit": "2048MB"})
    connection.execute("SET preserve_insertion_order = false")
    connection.execute(
        f"COPY (FROM read_csv('{given.source}')) TO '{given.target}' (FORMAT parquet)"
    )


if __name__ == "__main__":
    main()
