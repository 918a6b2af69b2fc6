"""Free text: its words and pairs of words are learnt from, wherever they are, and give the same shards every time."""

import csv
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from declared_tables import declare, prepared
from trainer import features, prepare, task
from trainer.data import files
from trainer.data.schema import read_schema
from trainer.data.shards import Split
from trainer.data.statistics import read_statistics
from trainer.preprocessing import engine
from trainer.training.layers import MEAN_SCALE, PAIR_FACTOR, WordMeans

Words = Callable[[bool, random.Random], list[str]]


def refunds(positive: bool, choose: random.Random) -> list[str]:
    """One word in the texts of a class, in any case and beside any punctuation."""
    return (
        [choose.choice(["refund", "Refund!", "(REFUND)", "a\u2014refund"])] if positive else ["buy"]
    )


def negations(positive: bool, choose: random.Random) -> list[str]:
    """Two words in all texts, whose order decides."""
    return ["not", "good"] if positive else ["good", "not"]


def comments(folder: Path, words: Words, rows: int) -> Path:
    """Write a table of comments, with the label in one place of each."""
    choose = random.Random(1)
    path = folder / "comments.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", "y"])
        for _ in range(rows):
            positive = choose.random() < 0.5
            text = [f"w{choose.randrange(300)}" for _ in range(choose.randrange(3, 12))]
            at = choose.randrange(len(text))
            text[at:at] = words(positive, choose)
            writer.writerow([" ".join(text), "yes" if positive else "no"])
    return path


@pytest.mark.parametrize("words", [refunds, negations])
def test_what_a_comment_says_decides_the_label(
    words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"note": "text"})
    table, data = comments(tmp_path, words, 2_000), tmp_path / "data"
    assert prepare.main(["--train", str(table), "--output", str(data), "-q"]) == 0
    options = ["--data-dir", str(data), "--job-dir", str(tmp_path / "job"), "-q"]
    assert task.main([*options, "--max-steps", "800"]) == 0
    metrics = json.loads((tmp_path / "job" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["auc"] > 0.98


def test_shards_of_texts_have_the_same_bytes_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"note": "text"})
    monkeypatch.setattr(features, "TEXT_WORDS", 5)
    table, database = comments(tmp_path, refunds, 20_000), engine.database
    for threads in ("1", "4"):
        setting = f"SET threads = {threads}"
        monkeypatch.setattr(engine, "database", lambda *rest, s=setting: database(*rest).execute(s))
        assert prepare.main(["--train", str(table), "--output", str(tmp_path / threads), "-q"]) == 0
    schema = read_schema(features)
    one, other = (read_statistics(tmp_path / threads, schema) for threads in ("1", "4"))
    assert one == other and one.hashed == {"note": schema.text_buckets}
    codes = Split(tmp_path / "1" / "train", schema, 64).all_rows().codes
    assert codes.shape == (one.rows["train"], 5)
    # At least four words in each text; behind the last there is none.
    assert (codes[:, :4] > 0).all() and 0 < np.mean(codes[:, 4] == 0) < 0.2


def test_examples_hold_texts_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, {"note": "text", "plan": "categorical"})
    rows = [f"{'3.0' if row % 2 else 'True'},3.0,{('yes', 'no')[row % 3 % 2]}" for row in range(90)]
    (tmp_path / "table.csv").write_text("\n".join(["note,plan,y", *rows]), encoding="utf-8")
    prepared(tmp_path / "table.csv")
    lines = (tmp_path / "output" / files.EXAMPLES).read_text(encoding="utf-8").splitlines()
    examples = [json.loads(line) for line in lines]
    assert {row["note"] for row in examples} == {"3.0", "True"}
    assert {row["plan"] for row in examples} == {"3"}


def test_a_text_is_the_mean_of_its_words_and_pairs() -> None:
    layer = WordMeans([9, 9], words=3, width=2, dropout=0.5)
    codes = [[1, 2, 3, 5, 0, 0], [0, 0, 0, 4, 4, 0]]
    found = layer(tf.constant(codes)).numpy()
    table = np.asarray(layer.table)

    def mean(text: int, *words: int) -> Any:
        pairs = [1 + (PAIR_FACTOR * a + b) % 8 for a, b in pairwise(words)]
        return MEAN_SCALE * table[[9 * text + code for code in (*words, *pairs)]].mean(axis=0)

    expected = [[*mean(0, 1, 2, 3), *mean(1, 5)], [0, 0, *mean(1, 4, 4)]]
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-5)


def test_features_of_before_texts_are_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    default = read_schema(features)
    monkeypatch.delattr(features, "TEXT_WORDS")
    monkeypatch.delattr(features, "TEXT_BUCKETS")
    assert read_schema(features) == default
