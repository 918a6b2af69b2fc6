"""ZetaSQL's reference implementation: the content of a few tables in, rows out. It keeps nothing between two statements."""

import ctypes
import re
from collections.abc import Mapping, Sequence
from typing import Any

import wasmtime
from zetasql.api import CatalogBuilder, PreparedQuery, TableBuilder
from zetasql.core import wasm_client
from zetasql.core.exceptions import ServerError
from zetasql.core.local_service import ZetaSqlLocalService
from zetasql.types import (
    AnalyzerOptions,
    Function,
    FunctionArgumentType,
    FunctionEnums,
    FunctionSignature,
    LanguageOptions,
    ParseResumeLocation,
    ProductMode,
    SignatureArgumentKind,
    TableContent,
    TableData,
    Type,
    TypeKind,
    Value,
    ZetaSQLBuiltinFunctionOptions,
)

KINDS = {
    "STRING": TypeKind.TYPE_STRING,
    "INT64": TypeKind.TYPE_INT64,
    "FLOAT64": TypeKind.TYPE_DOUBLE,
    "BOOL": TypeKind.TYPE_BOOL,
}
FIELDS = ("int64_value", "double_value", "string_value", "bool_value")
FUNCTION = re.compile(r"CREATE TEMP FUNCTION (\w+)\(([^)]*)\) AS \((.*)\)", re.DOTALL)

Rows = list[tuple[Any, ...]]
Table = tuple[Mapping[str, str], Sequence[Sequence[Any]]]
"""The kind of each column, and the rows."""


class CachedConfig(wasmtime.Config):  # type: ignore[misc]
    """Settings of WebAssembly that keep the compiled program in the user's cache: compiling takes 20 s of CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = True


def start() -> None:
    """Let the client cache the compiled program, and copy a request at once: it does so byte by byte."""
    wasm_client.Config = CachedConfig
    wasm_client.WasmClient.write_bytes = write_bytes
    wasm_client.WasmClient.read_bytes = read_bytes


def write_bytes(client: Any, pointer: int, data: bytes) -> None:
    ctypes.memmove(address(client) + pointer, data, len(data))


def read_bytes(client: Any, pointer: int, size: int) -> bytes:
    return ctypes.string_at(address(client) + pointer, size)


def address(client: Any) -> int:
    return ctypes.addressof(client.memory.data_ptr().contents)


class ZetaSQL:
    """The SQL functions that have been defined, and the settings of BigQuery."""

    def __init__(self) -> None:
        language = LanguageOptions.maximum_features()
        language.product_mode = ProductMode.PRODUCT_EXTERNAL
        language.reserved_keywords = ["QUALIFY"]
        self.options = AnalyzerOptions(language_options=language)
        self.builtin = ZetaSQLBuiltinFunctionOptions(language_options=language)
        self.functions: list[Any] = []

    def define(self, statement: str) -> bool:
        """Return whether a statement defines a function, and define it."""
        found = FUNCTION.fullmatch(statement)
        if found:
            name, arguments, body = found.groups()
            self.functions.append(function(name, arguments.split(", "), body))
        return bool(found)

    def catalog(self, tables: Mapping[str, Table]) -> Any:
        builder = CatalogBuilder("catalog").with_builtin_functions(self.builtin)
        for each in self.functions:
            builder.add_function(each)
        for name, (columns, _) in tables.items():
            table = TableBuilder(name)
            for column, kind in columns.items():
                table.add_column(column, KINDS[kind])
            builder.add_table(table.build())
        return builder.build()

    def rows(self, query: str, tables: Mapping[str, Table]) -> Rows:
        """Return the rows of a query; raise `ValueError` with ZetaSQL's message for one that it refuses."""
        builder = PreparedQuery.builder().set_sql(query).set_analyzer_options(self.options)
        builder.set_catalog(self.catalog(tables)).set_table_content(contents(tables))
        try:
            prepared = builder.prepare()
            found = [
                list(map(plain, row.cell)) for row in prepared.execute().content.table_data.row
            ]
            prepared.close()
        except ServerError as error:
            raise ValueError(f"ZetaSQL: {error}") from error
        return [*map(tuple, found)]

    def changed(self, statement: str, tables: Mapping[str, Table]) -> Rows:
        """Return the rows as an UPDATE leaves them, or an empty one for each that a DELETE removes."""
        try:
            response = ZetaSqlLocalService.get_instance().evaluate_modify(
                sql=statement,
                options=self.options,
                simple_catalog=self.catalog(tables),
                table_content=contents(tables),
            )
        except ServerError as error:
            raise ValueError(f"ZetaSQL: {error}") from error
        return [tuple(map(plain, each.cell)) for each in response.content]


def function(name: str, arguments: Sequence[str], body: str) -> Any:
    """Return a function that is written in SQL; its arguments are `name KIND`."""
    names = [each.split()[0] for each in arguments]
    kinds = [KINDS[each.split()[1]] for each in arguments]
    any_type = FunctionArgumentType(kind=SignatureArgumentKind.ARG_TYPE_ARBITRARY)
    signature = FunctionSignature(return_type=any_type, argument=[])  # that of the body
    for kind in kinds:
        type_ = Type(type_kind=kind)
        fixed = SignatureArgumentKind.ARG_TYPE_FIXED
        argument = FunctionArgumentType(kind=fixed, type=type_, num_occurrences=1)
        signature.argument.append(argument)
    return Function(
        name_path=[name],
        group="Templated_SQL_Function",
        mode=FunctionEnums.Mode.SCALAR,
        signature=[signature],
        parse_resume_location=ParseResumeLocation(input=body, byte_position=0),
        templated_sql_function_argument_name=names,
    )


def contents(tables: Mapping[str, Table]) -> dict[str, Any]:
    return {
        name: TableContent(
            table_data=TableData(row=[TableData.Row(cell=[*map(cell, row)]) for row in rows])
        )
        for name, (_, rows) in tables.items()
    }


def cell(value: Any) -> Any:
    """Return a value of Python as one of ZetaSQL."""
    if value is None:
        return Value()
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int):
        return Value(int64_value=value)
    return Value(double_value=value) if isinstance(value, float) else Value(string_value=value)


def plain(value: Any) -> Any:
    """Return a value of ZetaSQL as one of Python; an array as a list."""
    if value.array_value is not None:
        return [plain(each) for each in value.array_value.element]
    return next((held for name in FIELDS if (held := getattr(value, name)) is not None), None)
