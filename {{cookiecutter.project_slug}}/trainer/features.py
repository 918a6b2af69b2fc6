#% set table = cookiecutter.__table | parsed
#% set numbers = table.columns | selectattr("kind", "in", ["numeric", "datetime"]) | list | length
"""The columns of the table: the one file to edit for new data.

After an edit, `nox -s local_train` prepares the data again by itself.
"""

# fmt: off
LABEL = {{ table.label | quoted }}
TASK = "{{ table.task }}"  # binary, multiclass or regression
POSITIVE = {{ table.positive | quoted }}  # binary only: the class whose probability is predicted
LABEL_SQL = {{ table.label_sql | quoted }}  # BigQuery SQL over `label`, such as "RTRIM(label, '.')"; "" keeps it

# Every column of the table but the label, each with its kind:
#   numeric      a number; missing values are allowed
#   datetime     a date, with or without a time
#   categorical  text with a vocabulary learnt from the training rows
#   hashed       text with too many values for a vocabulary
#   text         a title or a comment, as its words and pairs of words
#   ignore       not used, neither for training nor for serving
COLUMNS: dict[str, str] = {
#% for column in table.columns
#% if column.note | default("")
    {{ column.name | quoted }}: "{{ column.kind }}",  # {{ column.note }}
#% else
    {{ column.name | quoted }}: "{{ column.kind }}",
#% endif
#% endfor
}

DERIVED: dict[str, str] = {}  # columns computed from others, as {"rate": "fee / (1 + DAYS_BETWEEN(start, end))"}; each has a kind above
MISSING: list[str] = {{ table.missing | quoted }}  # cells that hold no value, after blanks are stripped
DECIMAL = {{ table.decimal | default(".") | quoted }}  # "," where 1.234,5 is a number
UNITS: dict[str, str] = {{ table.units | default("{}") }}  # text behind the numbers of a column: {"weight": "kg"}
DAY_FIRST: list[str] = {{ table.day_first | default([]) | quoted }}  # datetime columns in which 1/2/2024 is in February
DELIMITER = {{ table.delimiter | quoted }}
ENCODING = {{ table.encoding | default("utf-8") | quoted }}  # of text files; a byte order mark wins
COMMENT = {{ table.comment | quoted }}  # lines that begin with it are skipped; "" skips none
HEADER: list[str] = {{ table.header | quoted }}  # the names in file order, if the file has no header line
# fmt: on

VOCABULARY_LIMIT = 10_000  # values kept per categorical column; rarer ones count as unseen
HASH_BUCKETS = 4_096  # per hashed column, a power of two
TEXT_WORDS = 64  # read per text; the rest is cut
TEXT_BUCKETS = 65_536  # of words and pairs of words, per text column, a power of two
BOUNDARIES = {{ [24, [127, 2_048 // ([numbers, 1] | max)] | min] | max }}  # quantile boundaries per numeric column; of them --quality fast uses 24, default 64, best all, but one per 200 rows, at least 24
