"""Write a table of a published package as CSV files: five fixed splits into rows to train on and to test on.

Run with pandas: `python split_table.py SOURCE FOLDER --label NAME --task TASK`. A source is a CSV file, a pandas
pickle, or rows without a header whose last column is the label. Rows without a label are left out; a class is written as
"class NAME", so that no reader takes it for a number.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

TEST_SHARE = 0.2
FEW_VALUES, SMALL_SHARE = 1_000, 0.2  # above either, text is hashed


def read(path: Path) -> pd.DataFrame:
    """Read a file by its name."""
    if path.name.endswith(".pkl.compress"):
        with warnings.catch_warnings(action="ignore"):  # it names modules of an older NumPy
            return pd.read_pickle(path, compression="xz")
    if path.suffix == ".dat":
        frame = pd.read_csv(path, header=None, skipinitialspace=True, na_values=["?", "<null>"])
        names = [f"c{number}" for number in range(1, frame.shape[1])]
        return frame.set_axis([*names, "label"], axis=1)
    return pd.read_csv(path, na_values=["?"])


def kinds_of(frame: pd.DataFrame) -> dict[str, str]:
    """Return the kind of each column that is not constant."""
    kinds = {}
    for name in frame:
        column, values = frame[name], frame[name].nunique()
        if pd.api.types.is_numeric_dtype(column):
            kind = "numeric"
        else:
            many = values > FEW_VALUES or values > SMALL_SHARE * len(frame)
            kind = "hashed" if many else "categorical"
        if values > 1:
            kinds[str(name)] = kind
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--label", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--splits", type=int, required=True)
    parser.add_argument("--ignore", action="append", default=[])
    options = parser.parse_args()
    frame = read(options.source)
    frame = frame[frame[options.label].notna()].reset_index(drop=True)
    kinds = kinds_of(frame.drop(columns=[options.label, *options.ignore]))
    frame = frame[[*kinds, options.label]]
    for name, kind in kinds.items():
        if kind == "numeric":
            frame[name] = frame[name].astype("float64")
    if options.task != "regression":
        frame[options.label] = "class " + frame[options.label].astype(str)
    for number in range(options.splits):
        order = np.random.default_rng(number).permutation(len(frame))
        cut = round(TEST_SHARE * len(frame))
        for name, rows in (("train", order[cut:]), ("test", order[:cut])):
            frame.iloc[rows].to_csv(options.folder / f"{name}-{number}.csv", index=False)
    schema = {
        "task": options.task,
        "label": options.label,
        "positive": sorted(frame[options.label].unique())[-1] if options.task == "binary" else "",
        "numeric": [name for name, kind in kinds.items() if kind == "numeric"],
        "categorical": [name for name, kind in kinds.items() if kind != "numeric"],
        "hashed": [name for name, kind in kinds.items() if kind == "hashed"],
        "rows": len(frame) - cut,
    }
    (options.folder / "splits.json").write_text(json.dumps(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
