"""The columns and tables of the preparation's SQL, by number: a column's own name may hold any character.

| name         | what                                                     | in                                 |
|--------------|----------------------------------------------------------|------------------------------------|
| `p0` …       | each column of the file, text                            | view `whole`                       |
| `c0` …       | each column, text, in the order of `Schema.sources`      | view `source`                      |
| `d0` …       | each datetime column, canonical text                     | a part of the query on `source`    |
| `e0` …       | each node of the expressions of derived columns          | a part of the query on `source`    |
| `i0` …       | each column that expressions alone read                  | table `prepared`                   |
| `x0` …       | each numeric or datetime column, FLOAT64                 | table `prepared`                   |
| `t0` …       | each column of text, in the order of `Schema.textual`    | table `prepared`                   |
| `k0` …       | each coded column, INT64 codes                           | what `encoded` returns             |
| `cells_0` …  | the distinct cells of a coded column                     | table (cell, value, train_rows)    |
| `values_0` … | the code of each value of a coded column                 | table (value, code)                |
| `codes_0` …  | the code of each cell of a coded column                  | table (cell, code)                 |
"""


def file_column(position: int) -> str:
    return f"p{position}"


def raw_column(index: int) -> str:
    return f"c{index}"


def date_column(index: int) -> str:
    return f"d{index}"


def number_column(index: int) -> str:
    return f"x{index}"


def text_column(index: int) -> str:
    return f"t{index}"


def code_column(index: int) -> str:
    return f"k{index}"


def cells_table(index: int) -> str:
    return f"cells_{index}"


def values_table(index: int) -> str:
    return f"values_{index}"


def codes_table(index: int) -> str:
    return f"codes_{index}"
