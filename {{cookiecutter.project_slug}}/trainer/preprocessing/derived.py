"""The expressions of derived columns as SQL: each node of a tree is a column, because nested SQL would repeat arguments."""

from collections.abc import Mapping

from trainer.data.expressions import BOOLEAN, FUNCTIONS, NUMBER, TEXT, Node
from trainer.data.schema import Schema
from trainer.preprocessing import cell_sql
from trainer.preprocessing.columns import number_column, text_column


def prepared_columns(schema: Schema) -> dict[str, str]:
    """Return the columns of `prepared`: numbers, then texts."""
    names = {name: number_column(index) for index, name in enumerate(schema.numeric)}
    return names | {name: text_column(index) for index, name in enumerate(schema.textual)}


def raw_columns(schema: Schema) -> dict[str, str]:
    """Return the column of `prepared` of each column of the table that serving reads: numbers, then texts."""
    names = prepared_columns(schema)
    return {name: names.get(name, f"i{at}") for at, name in enumerate(schema.raw.used)}


def with_derived(rows: str, schema: Schema) -> str:
    """Return SQL of `prepared` with derived columns, from SQL for rows of the columns of `Schema.raw`."""
    if not schema.derived:
        return rows
    own, columns, levels = prepared_columns(schema.raw), dict[Node, str](), dict[Node, int]()
    for node in (node for tree in schema.expressions.values() for node in tree.nodes()):
        levels[node] = 1 + max((levels[each] for each in node.arguments), default=0)
        columns.setdefault(node, f"e{len(columns)}")
    relations = [f"level_0 AS ({rows})"]
    for last in range(max(levels.values())):
        nodes = [node for node, level in levels.items() if level == last + 1]
        added = ", ".join(
            f"{form(node, own, columns, schema)} AS {columns[node]}" for node in nodes
        )
        relations.append(f"level_{last + 1} AS (SELECT *, {added} FROM level_{last})")
    found = own | {name: columns[tree] for name, tree in schema.expressions.items()}
    kept = [
        f"IFNULL({found[name]}, '') AS {column}"
        if name in schema.textual
        else f"{found[name]} AS {column}"
        for name, column in (raw_columns(schema) | prepared_columns(schema)).items()
    ]
    left = ", ".join([*own.values(), *columns.values()])
    return f"WITH {', '.join(relations)} SELECT {', '.join(kept)}, * EXCEPT ({left}) FROM level_{len(relations) - 1}"


def form(node: Node, own: Mapping[str, str], columns: Mapping[Node, str], schema: Schema) -> str:
    """Return SQL for one node, from the columns of the table or those of its arguments."""
    name, value = node.function, str(node.value)
    if name == "column":
        return cell_sql.value(own[value], schema) if node.type == TEXT else own[value]
    if name == "literal":
        type_ = {TEXT: "STRING", BOOLEAN: "BOOL"}.get(node.type, "FLOAT64")
        return f"CAST({'NULL' if node.value is None else cell_sql.literal(value)} AS {type_})"
    arguments = [columns[each] for each in node.arguments]
    if name == "REGEXP_CONTAINS":  # DuckDB compiles a literal once
        arguments[1] = cell_sql.literal(str(node.arguments[1].value))
    result = FUNCTIONS[name][1].format(*arguments)
    finite = f"IF({cell_sql.finite(result)}, CAST({result} AS FLOAT64), NULL)"
    return finite if node.type == NUMBER else result
