"""Mistakes in the input of predictions."""

from tests.mistakes.changes import Mistake, Plant, Severity, put

WHAT = {
    70: "rows to predict with a misspelt column, or without a column",
    71: "rows to predict with a cell that is not a number",
    72: "rows to predict in a file that is not CSV, JSON lines or Parquet",
    73: "rows to predict that are no rows of the table",
}


def predicting(
    name: str, file: str, content: str, part: str, severity: Severity = "error"
) -> Mistake:
    """Return a mistake in a file of rows that `nox -s predict` reports."""
    return Mistake(name, "predict", ("--input", file), file, put(content), part, severity)


PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = (
    predicting("70", "rows.csv", "agee,sex\n39,Male\n", "the model has no column 'agee', so it is not used; is it 'age'?", "warning"),
    predicting("70 absent", "rows.csv", "age,sex\n39,Male\n", "1 of 1 rows have no column 'workclass', which counts as missing", "warning"),
    predicting("70 capitals, in JSON", "rows.jsonl", '{"age": 39, "Sex": "Male"}\n', "no column 'Sex', so it is not used; is it 'sex'?", "warning"),
    predicting("70 in one row of two", "rows.jsonl", '{"age": 39}\n{"age": 40, "race": "White"}\n', "1 of 2 rows have no column 'race'", "warning"),
    predicting("71", "rows.csv", "age,sex\n39,Male\nold,Male\n", "rows.csv, row 2, column 'age' is 'old'"),
    predicting("71 a separator of thousands", "rows.csv", 'age;fnlwgt\n39;"1,23"\n', "row 1, column 'fnlwgt' is '1,23'"),
    predicting("71 a boolean", "rows.jsonl", '{"age": true}\n', "line 1, column 'age' is True"),
    predicting("71 infinity", "rows.jsonl", '{"age": 1}\n{"age": Infinity}\n', "line 2, column 'age' is inf"),
    predicting("71 a nested value", "rows.jsonl", '{"age": 1, "sex": {"value": "Male"}}\n', "line 1, column 'sex' is {"),
    predicting("72", "rows.jsonl", '{"age": 39}\n{"age": 40,\n', "rows.jsonl, line 2, is not JSON"),
    predicting("72 an array", "rows.json", '[{"age": 39}]\n', "rows.json, line 1, is "),
    predicting("72 a cell too many", "rows.csv", "age,sex\n39,Male,1\n", "row 1, has more or fewer cells than the first line"),
    predicting("72 an open quote", "rows.csv", 'age,sex\n39,"Male\n', "rows.csv, row 1, is not CSV (unexpected end of data)"),
    predicting("73", "rows.csv", "height,weight\n180,75\n", "row 1, has the columns 'height', 'weight'; expected columns of the model"),
    predicting("73 no rows", "rows.csv", "age,sex\n", "rows.csv holds no rows"),
    predicting("73 an empty file", "rows.jsonl", "\n", "rows.jsonl holds no rows"),
    predicting("73 a request", "rows.jsonl", '{"instances": [{"age": 39}]}\n', "has the columns 'instances'; expected columns of the model"),
)  # fmt: skip
