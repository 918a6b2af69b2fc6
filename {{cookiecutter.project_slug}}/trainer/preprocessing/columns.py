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

file_column = "p{}".format
raw_column = "c{}".format
date_column = "d{}".format
number_column = "x{}".format
text_column = "t{}".format
code_column = "k{}".format
cells_table = "cells_{}".format
values_table = "values_{}".format
codes_table = "codes_{}".format
