"""Mistakes in the table and its columns."""

import random
import re
from pathlib import Path

from tests.mistakes.changes import (
    FEATURES,
    JOB,
    Mistake,
    Plant,
    Severity,
    key,
    local,
    swap,
)
from tests.sessions import Change

WHAT = {
    24: "columns, label or split that do not fit the table",
    25: "the order of the file's columns has changed",
    50: "a value of features.py that Python lets pass",
    51: "a file that holds no table",
    52: "a test table with other columns than the train table",
    53: "a column that alone decides the label",
    54: "test rows that were trained on",
}


def without(name: str) -> Change:
    """Return a change that removes a column from features.py."""
    return lambda text: "".join(line for line in text.splitlines(True) if f'"{name}": ' not in line)


def shuffled_columns(project: Path) -> Change:
    """Return a change that has job.toml name the census sample with its columns in another order."""
    import gzip

    rows = gzip.decompress((project / "data" / "adult.data.gz").read_bytes()).decode().splitlines()
    order = random.Random(1).sample(range(15), 15)
    lines = [[row.split(", ")[place] for place in order] for row in rows if row.count(", ") == 14]
    path = project.parent / "shuffled.csv"
    path.write_text("".join(", ".join(cells) + "\n" for cells in lines), encoding="utf-8")
    return swap("data/adult.data.gz", str(path))


def preparing(
    name: str, file: str, change: Change, part: str, severity: Severity = "error"
) -> Mistake:
    """Return a mistake that `nox -s prepare` reports."""
    return Mistake(name, "prepare", (), file, change, part, severity)


def predicting(label: str, task: str) -> Change:
    """Return a change that predicts another column of the census, and income is one of its columns."""

    def change(text: str) -> str:
        text = without(label)(text).replace(
            '    "sex":', '    "income": "categorical",\n    "sex":'
        )
        for name, value in {"LABEL": label, "TASK": task, "LABEL_SQL": "RTRIM(label)"}.items():
            text = re.sub(f'(?m)^{name} = "[^"]*"', f'{name} = "{value}"', text)
        return text

    return change


def train(path: str) -> Change:
    return swap("data/adult.data.gz", path)


PLANTS: tuple[Plant, ...] = (
    Plant("24 a split by no column", JOB, key("split", '"time:agee"'), "is 'time:agee'; expected one of the COLUMNS age"),
    Plant("24 no such split", JOB, key("split", '"radnom"'), "did you mean 'random'?"),
)  # fmt: skip

RUNS: tuple[Mistake, ...] = (
    local("24", FEATURES, without("age"), "has a column 'age' that trainer/features.py does not name"),
    local("24 a column that is not there", FEATURES, swap('"age": ', '"agee": '), "did you mean 'age'?"),
    local("24 another type", FEATURES, swap('"workclass": "categorical"', '"workclass": "numeric"'), "is not a finite number"),
    local("24 an empty split", JOB, key("eval_share", "0.0"), "eval_share is 0.0; expected a share above 0"),
    preparing("50", FEATURES, swap('"age": "numeric"', '"age": "number"'), "the kind of column 'age' is 'number'"),
    preparing("50 a column twice", FEATURES, swap('"sex":', '"age":'), "'age' is a key twice"),
    preparing("50 a text for a list", FEATURES, swap("MISSING: list[str] = [", 'MISSING = "?" or ['), "write MISSING = ['?']"),
    preparing("50 a number for a text", FEATURES, swap('POSITIVE = ">50K"', "POSITIVE = 1"), "POSITIVE is 1; expected text in quotes"),
    preparing("50 no class of the data", FEATURES, swap('POSITIVE = ">50K"', 'POSITIVE = ">50k"'), "write POSITIVE = '>50K'"),
    preparing("50 the label among the columns", FEATURES, swap('"sex":', '"income": "ignore", "sex":'), "COLUMNS holds the label 'income'"),
    preparing("50 a header without a column", FEATURES, swap('"sex", "capital', '"Sex", "capital'), "did you mean 'Sex'?"),
    preparing("50 a function that is not there", FEATURES, swap("RTRIM(label", "RTRIMM(label"), "LABEL_SQL is"),
    preparing("50 another column", FEATURES, swap("RTRIM(label", "RTRIM(income"), "SQL over the column `label`"),
    preparing("51", JOB, train("launcher"), "is JSON that is no object per line"),
    preparing("51 a page", JOB, train("README.md"), "cannot be used"),
    preparing("51 a misspelt name", JOB, train("data/adult.dat.gz"), "adult.data.gz?"),
    preparing("51 a device", JOB, train("/dev/null"), "is a pipe or a device"),
    preparing("52", JOB, swap("data/adult.test.gz", "data/README.md"), "cannot be used"),
    preparing("53", FEATURES, predicting("education", "multiclass"), "'education_num' alone gives the class of 100.0%", "warning"),
    preparing("53 a number", FEATURES, predicting("education_num", "regression"), "'education' alone explains 100.0%", "warning"),
    preparing("54", JOB, swap("data/adult.test.gz", "data/adult.data.gz"), "100% of the test rows are rows of the train table", "warning"),
)  # fmt: skip
