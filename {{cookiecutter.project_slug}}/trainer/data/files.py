"""The files in a folder of prepared data, beside a folder of Parquet shards for each split."""

STATISTICS = "statistics.json"
EXAMPLES = "examples.jsonl"
REJECTS = "rejects.csv"
SOURCE = "source.json"  # in the folder of a job that prepares: what the data was made from
SHARDS = "*.parquet"
