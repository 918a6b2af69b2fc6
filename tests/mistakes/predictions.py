"""Mistakes in the input of predictions."""

from tests.mistakes.changes import Mistake, Plant, Severity, put

WHAT = {
    70: "rows to predict with a column that nobody knows, or without a column",
    71: "rows to predict with a cell that is not a number",
    72: "rows to predict in a file that is not CSV, JSON or Parquet",
    73: "rows to predict that are no rows of the table",
}


def predicting(
    name: str, file: str, content: str, part: str, severity: Severity = "error"
) -> Mistake:
    """Return a mistake in a file of rows that `nox -s predict` reports."""
    return Mistake(name, "predict", ("--input", file), file, put(content), part, severity)


PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = (
    predicting("70", "rows.csv", "agee,sex\n39,Male\n", "rows.csv, row 1, has columns that do not fit the model ('agee': did you mean 'age'?)"),
    predicting("70 absent", "rows.csv", "age,sex\n39,Male\n", "1 of 1 rows have no column 'workclass', which counts as missing", "warning"),
    predicting("70 capitals, in JSON", "rows.jsonl", '{"age": 39}\n{"age": 39, "Sex": "Male"}\n', "row 2, has columns that do not fit the model ('Sex': did you mean 'sex'?)"),
    predicting("70 a column to keep", "rows.csv", "age,nr\n39,7\n", "row 1, has columns that do not fit the model ('nr': unknown)"),
    predicting("70 in one row of two", "rows.jsonl", '{"age": 39}\n{"age": 40, "race": "White"}\n', "1 of 2 rows have no column 'race'", "warning"),
    predicting("71", "rows.csv", "age,sex\n39,Male\nold,Male\n", "rows.csv, row 2, column 'age' is 'old'"),
    predicting("71 a separator of thousands", "rows.csv", 'age;fnlwgt\n39;"1,23"\n', "row 1, column 'fnlwgt' is '1,23'"),
    predicting("71 a boolean", "rows.jsonl", '{"age": true}\n', "row 1, column 'age' is 'true'"),
    predicting("71 infinity", "rows.jsonl", '{"age": 1}\n{"age": Infinity}\n', "row 2, column 'age' is 'inf'"),
    predicting("71 a nested value", "rows.jsonl", '{"age": 1, "sex": {"value": "Male"}}\n', "row 1, column 'sex' is {"),
    predicting("72", "rows.jsonl", '{"age": 39}\n{"age": 40,\n', "rows.jsonl is invalid (row 2 is no JSON object: "),
    predicting("72 an array that ends early", "rows.json", '[{"age": 39},\n', "rows.json is invalid (row 2: Expecting value"),
    predicting("72 numbers alone", "rows.json", "[[39, 40]]\n", "rows.json is invalid (row 1 is no JSON object: '[39, 40]')"),
    predicting("72 a cell too many", "rows.csv", "age,sex\n39,Male,1\n", "rows.csv is invalid (row 1: 3 cells, and 2 in the first line)"),
    predicting("72 an open quote", "rows.csv", 'age,sex\n39,"Male\n', "rows.csv is invalid (row 1: unexpected end of data)"),
    predicting("73", "rows.csv", "height,weight\n180,75\n", "row 1, has columns that do not fit the model ('height': unknown, 'weight': "),
    predicting("73 no rows", "rows.csv", "age,sex\n", "rows.csv is without rows"),
    predicting("73 an empty file", "rows.jsonl", "\n", "rows.jsonl is without rows"),
    predicting("73 a request", "rows.jsonl", '{"rows": [{"age": 39}]}\n', "has columns that do not fit the model ('rows': unknown)"),
)  # fmt: skip
