"""A trainer's use of gs://, below the folder given as argument. Runs in a separate process."""

import importlib
import sys
from typing import Any


def main(folder: str) -> None:
    """Write, read, list, rename and delete; raise AssertionError if anything differs."""
    tf = importlib.import_module("tensorflow")
    files = tf.io.gfile
    files.makedirs(f"{folder}/deep/er")
    with files.GFile(f"{folder}/text.txt", "w") as file:
        file.write("text")
    assert files.exists(f"{folder}/text.txt") and files.isdir(folder)
    assert files.stat(f"{folder}/text.txt").length == 4
    assert files.glob(f"{folder}/*.txt") == [f"{folder}/text.txt"]
    assert {name.rstrip("/") for name in files.listdir(folder)} == {"deep", "text.txt"}
    files.rename(f"{folder}/text.txt", f"{folder}/renamed.txt")
    assert not files.exists(f"{folder}/text.txt")
    records(tf, f"{folder}/deep/records")
    saved_model(tf, f"{folder}/model")
    files.rmtree(f"{folder}/deep")
    assert not files.exists(f"{folder}/deep/records")


def records(tf: Any, path: str) -> None:
    """Write more records than one read returns, and read them back."""
    rows = [bytes([number % 256]) * 1000 for number in range(500)]
    with tf.io.TFRecordWriter(path) as writer:
        for row in rows:
            writer.write(row)
    assert list(tf.data.TFRecordDataset(path).as_numpy_iterator()) == rows


def saved_model(tf: Any, folder: str) -> None:
    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    tf.saved_model.save(module, folder)
    loaded = tf.saved_model.load(folder)
    assert loaded.weight.numpy().tolist() == [1.0, 2.0]
    checkpoint = tf.train.Checkpoint(weight=module.weight)
    path = checkpoint.save(f"{folder}/checkpoints/c")
    module.weight.assign([0.0, 0.0])
    checkpoint.restore(path)
    assert module.weight.numpy().tolist() == [1.0, 2.0]


if __name__ == "__main__":
    main(sys.argv[1])
