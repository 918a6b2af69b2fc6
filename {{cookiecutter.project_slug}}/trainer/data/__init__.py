"""What preparation writes and training reads: columns, statistics, shards."""
