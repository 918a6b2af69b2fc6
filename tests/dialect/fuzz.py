"""Read random cells as numbers, dates, values and words in ZetaSQL and DuckDB: `python -m tests.dialect.fuzz CELLS SEED` prints what differs."""

import json
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow
from trainer.data.schema import Schema
from trainer.preprocessing import cell_sql, sql
from trainer.run.console import Console

from tests.dialect.cells import ODD_DATES, ODD_NUMBERS, ODD_TEXTS
from tests.dialect.statements import SCHEMA, BothEngines
from tests.dialect.zetasql import start

NUMBERS = (
    "0123456789" * 3
    + "..eE+-__xXnNaAiIfFtTdDlL ,\t\n\v\f\r%$()'\u00a0\u3000\u0661\uff15\u2212\u20ac"
)
DATES = "0123456789" * 3 + "//--::..  TZzAPMampm,+ JanFebMarDec"
TEXTS = NUMBERS + "\\'\"`{}/*;\u00e9\u0130\u017f\u00df\u0301\U0001f600\x1f\ufeffxyz"
DATE = "2024-01-15 10:30:05"
SCHEMAS = {
    "point": replace(SCHEMA, columns={"d": "datetime"}),
    "comma": replace(SCHEMA, columns={"d": "datetime"}, decimal=",", day_first=("d",)),
}


def made_up(count: int, choose: random.Random) -> list[str]:
    """Return different cells, most of them nearly valid."""
    found = {*ODD_NUMBERS, *ODD_DATES, *ODD_TEXTS}
    while len(found) < count:
        letters, longest = choose.choice(((NUMBERS, 7), (DATES, 20), (TEXTS, 12)))
        cell = "".join(choose.choices(letters, k=choose.randint(1, longest)))
        at = choose.randrange(len(DATE))
        nearly = DATE[:at] + choose.choice(DATES) + DATE[at + choose.randrange(2) :]
        exact = repr(choose.uniform(-1, 1) * 10.0 ** choose.randint(-320, 308))
        found.add(choose.choice((cell, cell, nearly, exact)))
    return sorted(found)


def queries(schema: Schema) -> list[str]:
    """Return the expressions of the preparation over each cell."""
    relations, last = cell_sql.dated(schema)
    cleaned = "cleaned AS (SELECT cell, known_cell(cell) AS d0 FROM fuzzed)"
    read = (
        f"known_cell(cell) AS known, number_0(cell, TRUE) AS number, number_1(cell, TRUE) AS unit,"
        f" {cell_sql.value('cell', schema)} AS value, {cell_sql.words('cell', schema)} AS words,"
        f" {sql.key('cell')} AS row_key, {sql.row_text(['cell', 'cell'], sql.joined(['cell', 'cell']))} AS row_text"
    )
    return [
        f"SELECT cell, {read} FROM fuzzed",
        f"WITH {cleaned}, {', '.join(relations)} SELECT cell, {cell_sql.days('d0')} AS day FROM {last}",
    ]


def main() -> None:
    start()
    count, seed = map(int, sys.argv[1:])
    cells = pyarrow.table({"cell": made_up(count, random.Random(seed))})
    for schema in SCHEMAS.values():
        with tempfile.TemporaryDirectory() as folder:
            engine = BothEngines(Path(folder), 500, Console(quiet=True))
            engine.run("CREATE TABLE fuzzed AS SELECT '' AS cell")
            engine.put("fuzzed", cells)
            for function in cell_sql.functions(schema):
                engine.run(function)
            for query in queries(schema):
                engine.rows(query)
            engine.close()
    print(json.dumps({"cells": len(cells), "different": BothEngines.differences}))


if __name__ == "__main__":
    main()
