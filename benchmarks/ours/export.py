"""How long our export takes, as at the end of a run: run inside a baked project."""

import argparse
import json
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Build the network, evaluate as a run does before it exports, then export and print how long that took."""
    from trainer import features
    from trainer.data.schema import read_schema
    from trainer.data.shards import Split
    from trainer.data.statistics import read_statistics
    from trainer.settings import Settings
    from trainer.training.tensorflow_setup import start_tensorflow

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    schema = read_schema(features)
    facts = read_statistics(given.data, schema)
    settings = Settings(quality="fast", epochs=1).for_rows(facts.rows["train"], schema.task)
    start_tensorflow(settings.seed)
    from trainer.model import Model, build_optimizer, export
    from trainer.training.train_step import Trainer

    model = Model(schema, facts, settings)
    optimizer = build_optimizer(model.network, settings, facts.rows["train"], 1)
    trainer = Trainer(model, optimizer, settings)
    trainer.evaluate(Split(given.data / "eval", schema, settings.memory_mb))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        export(model, schema, facts, Path(folder), is_chief=True)
        seconds = time.perf_counter() - started
    print(json.dumps({"export_seconds": seconds}))


if __name__ == "__main__":
    main()
