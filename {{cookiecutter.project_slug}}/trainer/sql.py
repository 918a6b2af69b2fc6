"""The preparation as SQL in BigQuery's dialect: it runs here in DuckDB and, unchanged, where tables are larger.

Input is a relation `source` with the used columns as text, `c0` … `cN` in the order of `Schema.used`, and `label`.
"""

from trainer.schema import Schema

SEPARATOR = "\\x1f"
LARGEST_FLOAT32 = "3.4e38"
SPLIT_PARTS = 10_000
KEY = "CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(row_text)), 1, 15)) AS INT64)"  # 60 bits: never negative
BLANKS = " \t\n\v\f\r"  # what `tf.strings.strip` strips in the serving signature


def in_duckdb(text: str) -> str:
    """Return SQL of BigQuery's dialect in DuckDB's; raises sqlglot's own error for text that is no SQL."""
    import sqlglot

    return str(sqlglot.transpile(text, read="bigquery", write="duckdb")[0])


def literal(text: str) -> str:
    """Return `text` as a string literal of BigQuery."""
    escaped = (
        text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    )
    return f"'{escaped}'"


def stripped(column: str) -> str:
    """Return SQL for a text cell without surrounding blanks; cells that have none are not searched for them."""
    edges = f"LEFT({column}, 1) <= ' ' OR RIGHT({column}, 1) <= ' '"
    return f"IF({edges}, TRIM({column}, {literal(BLANKS)}), {column})"


def present(column: str, schema: Schema) -> str:
    """Return SQL for a stripped cell, NULL where it is a missing marker."""
    markers = ", ".join(literal(marker) for marker in dict.fromkeys(("", *schema.missing)))
    return f"IF({column} IN ({markers}), NULL, {column})"


def number(column: str) -> str:
    """Return SQL for a text column as FLOAT64, NULL where it is no number."""
    return f"SAFE_CAST({column} AS FLOAT64)"


def rejection(schema: Schema) -> str:
    """Return SQL for why a row cannot be used, NULL where it can; `x<index>` and `y` are the numbers of the row."""
    numeric = [(f"c{index}", f"x{index}", name) for index, name in enumerate(schema.numeric)]
    numeric += [("label", "y", schema.label)] if schema.task == "regression" else []
    cases = [
        f"WHEN {text} IS NOT NULL AND NOT IFNULL(ABS({value}) <= {LARGEST_FLOAT32}, FALSE)"
        f" THEN CONCAT({literal(name)}, ': ', SUBSTR({text}, 1, 60), ' is not a finite number')"
        for text, value, name in numeric
    ]
    missing_label = f"WHEN label IS NULL THEN {literal(f'{schema.label}: the label is missing')}"
    return f"CASE {missing_label} {' '.join(cases)} ELSE NULL END"


def judged_rows(schema: Schema, deduplicate: bool) -> str:
    """Return SQL that cleans, casts and judges each row of `source`.

    Columns: `x0` … numbers, `t0` … text of the coded columns, `label`, `reason` (NULL for a good row), `cells` (the text
    of a bad row) and `row_key`, an INT64 made of the MD5 of the row.
    """
    columns = [f"c{index}" for index in range(len(schema.used))]
    cells = [*columns, "label"]
    bare = ", ".join(f"{stripped(column)} AS {column}" for column in cells)
    known = ", ".join(f"{present(column, schema)} AS {column}" for column in cells)
    label = f"CAST({schema.label_sql} AS STRING)" if schema.label_sql else "label"
    numbers = [f"{number(f'c{index}')} AS x{index}" for index in range(len(schema.numeric))]
    row = f", '{SEPARATOR}', ".join(f"IFNULL({column}, '')" for column in cells)
    unique = "QUALIFY ROW_NUMBER() OVER (PARTITION BY row_text ORDER BY row_key) = 1"
    return (
        f"WITH bare AS (SELECT {bare} FROM source), cleaned AS (SELECT {known} FROM bare),"
        f" labelled AS (SELECT {', '.join(columns)}, {label} AS label FROM cleaned),"
        f" numbered AS (SELECT {', '.join([*columns, *numbers])}, label, {number('label')} AS y,"
        f" CONCAT({row}) AS row_text FROM labelled),"
        f" judged AS (SELECT *, {rejection(schema)} AS reason, {KEY} AS row_key FROM numbered)"
        f" SELECT {', '.join(kept_columns(schema))}, label, reason,"
        f" IF(reason IS NULL, NULL, row_text) AS cells, row_key FROM judged"
        f" {unique if deduplicate else ''}"
    )


def kept_columns(schema: Schema) -> list[str]:
    """Return SQL for the columns that later steps read: numbers as such, the rest as text."""
    count = len(schema.numeric)
    numbers = [f"x{index}" for index in range(count)]
    return numbers + [f"c{count + index} AS t{index}" for index in range(len(schema.coded))]


def with_split(relation: str, eval_share: float) -> str:
    """Return SQL that adds `split`: equal rows always fall on the same side, whatever their order."""
    threshold = round(eval_share * SPLIT_PARTS)
    part = f"MOD(row_key, {SPLIT_PARTS})"
    return f"SELECT *, IF({part} < {threshold}, 'eval', 'train') AS split FROM ({relation}) AS read"


def as_test(relation: str) -> str:
    """Return SQL that adds `split` for rows of a ready test table."""
    return f"SELECT *, 'test' AS split FROM ({relation}) AS read"


def summary(schema: Schema) -> str:
    """Return SQL for one row: per numeric column minimum, maximum, mean, deviation and missing count."""
    columns = [
        f"MIN(x{index}), MAX(x{index}), AVG(x{index}), STDDEV_POP(x{index}), COUNTIF(x{index} IS NULL)"
        for index in range(len(schema.numeric))
    ]
    return f"SELECT {', '.join(columns)} FROM prepared WHERE split = 'train'"


def sample(schema: Schema, share: float) -> str:
    """Return SQL for the numeric columns of a share of the training rows, chosen by their key."""
    columns = ", ".join(f"x{index}" for index in range(len(schema.numeric)))
    part = f"MOD(DIV(row_key, {SPLIT_PARTS}), {SPLIT_PARTS})"
    threshold = max(1, round(share * SPLIT_PARTS))
    return f"SELECT {columns} FROM prepared WHERE split = 'train' AND {part} < {threshold}"


def value_counts(column: str, limit: int | None = None) -> str:
    """Return SQL for the values of a text column in the training rows, most frequent first."""
    counted = (
        f"SELECT {column} AS value, COUNT(*) AS frequency FROM prepared"
        f" WHERE split = 'train' AND {column} IS NOT NULL GROUP BY value"
    )
    return counted + (
        f" ORDER BY frequency DESC, value LIMIT {limit}" if limit else " ORDER BY value"
    )


def distinct_values(column: str) -> str:
    """Return SQL for every value of a text column, in all splits."""
    return f"SELECT DISTINCT {column} AS value FROM prepared WHERE {column} IS NOT NULL"


def text_and_numbers(schema: Schema) -> dict[str, str]:
    """Return the column of `prepared` that holds each used column, in the order of `features.py`."""
    held = {name: f"x{index}" for index, name in enumerate(schema.numeric)}
    held |= {name: f"t{index}" for index, name in enumerate(schema.coded)}
    return {name: held[name] for name in schema.columns if name in held}


def encoded(schema: Schema, split: str, unseen_code: int) -> str:
    """Return SQL for one split as numbers and codes, joined to the tables `codes_<index>(value, code)`.

    Columns: `x0` … FLOAT64, `k0` … INT64 (0 where missing), `label` INT64 or FLOAT64.
    """
    coded = range(len(schema.coded))
    numbers = [f"r.x{index} AS x{index}" for index in range(len(schema.numeric))]
    codes = [f"IF(r.t{i} IS NULL, 0, IFNULL(codes_{i}.code, {unseen_code})) AS k{i}" for i in coded]
    joins = [f"LEFT JOIN codes_{index} ON codes_{index}.value = r.t{index}" for index in coded]
    if schema.task == "regression":
        label = f"{number('r.label')} AS label"
    else:
        label = "classes.code AS label"
        joins.append("JOIN classes ON classes.value = r.label")
    return (
        f"SELECT {', '.join([*numbers, *codes, label])} FROM prepared AS r {' '.join(joins)}"
        f" WHERE r.split = {literal(split)}"
    )
