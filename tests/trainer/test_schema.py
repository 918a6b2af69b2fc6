"""features.py is read strictly: what Python lets pass in silence is reported."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from trainer.data.schema import Schema, named, read_schema, unused_columns
from trainer.run.errors import UserError

SOURCE = """
LABEL = "y"
TASK = "binary"
POSITIVE = "yes"
LABEL_SQL = ""
COLUMNS = {
    "age": "numeric",
    "city": "categorical",
}
MISSING = ["?"]
DELIMITER = ","
COMMENT = ""
HEADER = []
VOCABULARY_LIMIT = 10_000
HASH_BUCKETS = 4_096
BOUNDARIES = 24
"""


def schema_of(folder: Path, source: str) -> Schema:
    return read_schema(module_of(folder, source))


def module_of(folder: Path, source: str) -> ModuleType:
    path = folder / "features.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("features", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("text", ["IF(label = 'now', 'a', 'b')", "LOWER(label)", "brand_label"])
def test_sql_that_names_no_changing_function_is_valid(text: str, tmp_path: Path) -> None:
    source = SOURCE.replace('LABEL_SQL = ""', f'LABEL_SQL = "{text}"')
    assert schema_of(tmp_path, source).label_sql == text


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    schema = schema_of(tmp_path, SOURCE)
    assert (schema.columns, schema.missing) == ({"age": "numeric", "city": "categorical"}, ("?",))


def test_columns_that_are_not_used_have_the_reason_beside_them(tmp_path: Path) -> None:
    columns = [
        '"id": "ignore",  # row numbers',
        '"it\'s \\"n\\"": "ignore", # row numbers',
        '"caf\\xe9": "ignore",  # row numbers',
        '"k": "ignore",',
        '"age": "numeric",  # a note',
    ]
    source = SOURCE.replace('"age": "numeric",', "\n    ".join(columns))
    assert unused_columns(module_of(tmp_path, source), schema_of(tmp_path, source)) == {
        "row numbers": ["id", 'it\'s "n"', "caf\u00e9"],
        "ignore in trainer/features.py": ["k"],
    }


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["a", "b"], ("a", "b")),
        (["", "a", " "], ("Unnamed: 0", "a", "Unnamed: 2")),
        (["", "Unnamed: 0", "a"], ("Unnamed: 0.1", "Unnamed: 0", "a")),
    ],
)
def test_a_column_without_a_name_is_named_by_its_position(
    header: list[str], names: tuple[str, ...], tmp_path: Path
) -> None:
    assert named(header, schema_of(tmp_path, SOURCE)) == names


COLUMNS = '"age": "numeric",'
INVALID = [
    ('LABEL = "y"', "", "it has no LABEL; expected text in quotes; add LABEL"),
    ('LABEL = "y"', "LABEL = 3", "LABEL is 3; expected text in quotes; write LABEL = '3'"),
    ('LABEL = "y"', 'LABEL = ["y"]', "LABEL is ['y']; expected text"),
    ('LABEL = "y"', 'LABEL = "age"', "COLUMNS holds the label 'age'"),
    ('TASK = "binary"', 'TASK = "Binary"', "TASK is 'Binary'; expected one of binary, multi"),
    (
        'TASK = "binary"',
        'TASK = "classification"',
        "expected one of binary, multiclass, regression",
    ),
    ('TASK = "binary"', "TASK = None", "TASK is None; expected text in quotes"),
    ('"yes"', "1", "POSITIVE is 1; expected text in quotes; write POSITIVE = '1'"),
    ('"yes"', "True", "POSITIVE is True; expected text in quotes; write POSITIVE = 'True'"),
    ('"yes"', '""', 'POSITIVE is ""; expected the class whose probability is predicted'),
    ('LABEL_SQL = ""', "LABEL_SQL = None", "LABEL_SQL is None; expected text in quotes; write"),
    (
        'LABEL_SQL = ""',
        "LABEL_SQL = \"IF(RAND() < .5, label, 'a')\"",
        "LABEL_SQL calls RAND, which",
    ),
    (
        'LABEL_SQL = ""',
        'LABEL_SQL = "label > CURRENT_DATE"',
        "calls CURRENT_DATE, which is another",
    ),
    ('LABEL_SQL = ""', 'LABEL_SQL = "GENERATE_UUID()"', "LABEL_SQL calls GENERATE_UUID, which"),
    (COLUMNS, '"age": "numerical",', "column 'age' is 'numerical'; expected one of numeric, "),
    (COLUMNS, '"age": "NUMERIC ",', "write 'numeric', if that is what you mean"),
    (COLUMNS, '"age": None,', "the kind of column 'age' is None; expected one of numeric"),
    (COLUMNS, '"age": ["numeric"],', "the kind of column 'age' is ['numeric']; expected one of"),
    (COLUMNS, '3: "numeric",', "expected a dictionary of column names and kinds"),
    (COLUMNS, '"city": "hashed",', "'city' is a key twice, in lines 7 and 8; expected each column"),
    (COLUMNS, '"age": "numeric", "age": "ignore",', "'age' is a key twice, in lines 7 and 7"),
    (COLUMNS, "'ag\\x65': 'numeric', 'age': 'numeric',", "'age' is a key twice"),
    ('MISSING = ["?"]', 'MISSING = "?"', "expected a list of texts; write MISSING = ['?']"),
    ('MISSING = ["?"]', 'MISSING = "NA"', "expected a list of texts; write MISSING = ['NA']"),
    ('MISSING = ["?"]', "MISSING = [-999]", "MISSING is [-999]; expected a list of texts; write"),
    ('MISSING = ["?"]', "MISSING = None", "expected a list of texts; write MISSING = []"),
    ('MISSING = ["?"]', 'MISSING = {"?"}', "expected a list of texts; write MISSING = ['?']"),
    ('","', '"\\\\t"', "DELIMITER is '\\\\t'; expected one character"),
    ('","', '"||"', "DELIMITER is '||'; expected one character"),
    ('COMMENT = ""', 'COMMENT = ","', "COMMENT is ','"),
    ('COMMENT = ""', 'COMMENT = "//"', "COMMENT is '//'; expected one character"),
    (
        "HEADER = []",
        'HEADER = ["age", "y"]',
        "HEADER in trainer/features.py has no column 'city', which",
    ),
    ("HEADER = []", 'HEADER = ["y", "age", "City"]', "did you mean 'City'?"),
    (
        "HEADER = []",
        'HEADER = ["y", "age", "city", "city"]',
        "HEADER in trainer/features.py has the column 'city' 2 times",
    ),
    ("HEADER = []", 'HEADER = "age,city,y"', "expected a list of texts"),
    ("10_000", '"10_000"', "VOCABULARY_LIMIT is '10_000'; expected an integer"),
    ("10_000", "1e4", "VOCABULARY_LIMIT is 10000.0; expected an integer"),
    ("10_000", "True", "VOCABULARY_LIMIT is True; expected an integer"),
    ("10_000", "0", "VOCABULARY_LIMIT is 0; expected at least 1"),
    ("4_096", "4_000", "HASH_BUCKETS is 4000; expected a power of two"),
    ("4_096", "2**40", "expected a power of two from 2 to 16_777_216"),
    ("= 24", "= None", "BOUNDARIES is None; expected an integer"),
    ("= 24", "= 1", "BOUNDARIES is 1; expected 2 to 256"),
]


@pytest.mark.parametrize(("old", "new", "message"), INVALID)
def test_an_invalid_value_is_reported_in_three_parts(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert SOURCE.count(old) == 1
    with pytest.raises(UserError) as found:
        schema_of(tmp_path, SOURCE.replace(old, new))
    assert message in str(found.value)
    assert str(found.value).startswith(("trainer/features.py: ", "HEADER in trainer/features.py "))
    assert str(found.value).count("; ") >= 2
