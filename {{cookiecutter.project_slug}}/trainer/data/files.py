"""The files in a folder of prepared data, beside a folder of Parquet shards for each split."""

STATISTICS = "statistics.json"
EXAMPLES = "examples.jsonl"
REJECTS = "rejects.csv"
SHARDS = "*.parquet"
