"""What the workers count, as Prometheus reads it."""

BATCH_BUCKETS = [4.0**power for power in range(8)]


class Counts:
    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        own = CollectorRegistry()
        help_text = "Requests for predictions by HTTP status"
        self.requests = Counter("prediction_requests", help_text, ["status"], registry=own)
        self.rows = Counter("prediction_rows", "Rows that were predicted", registry=own)
        help_text = "Seconds from a request to its response"
        self.seconds = Histogram("prediction_seconds", help_text, registry=own)
        help_text, buckets = "Rows of a call of the model", BATCH_BUCKETS
        self.batch_rows = Histogram(
            "prediction_batch_rows", help_text, buckets=buckets, registry=own
        )

    def of_all_workers(self) -> bytes:
        """Return the sum over the processes, which are kept in the folder of COUNTS_VARIABLE."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return bytes(generate_latest(registry))
