"""Expressions over the columns of a table, in the words of BigQuery's SQL, parsed to trees with types.

`preprocessing.derived` makes SQL of a tree, and `training.derived` TensorFlow operations. A missing value is NULL, and so is a
number that float32 cannot hold, as after a division by zero.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from string import ascii_lowercase, ascii_uppercase

from trainer.data.cells import LARGEST_FLOAT32
from trainer.run.errors import UserError, nearest, shown

BOOLEAN, NUMBER, DATE, TEXT = "boolean", "number", "date", "text"
KINDS = {BOOLEAN: ["numeric"], NUMBER: ["numeric"], DATE: ["datetime"]}
KINDS[TEXT] = ["categorical", "hashed", "text"]
TYPES = {kind: name for name, kinds in KINDS.items() for kind in kinds}
OPERATORS = {
    "+ - *": "number number number",
    "= <> !=": "boolean same same",
    "< <= > >=": "boolean ordered ordered",
    "AND OR": "boolean boolean boolean",
}
# Types of the result and of the arguments, `same` and `ordered` one for all, and SQL over columns.
# Two braces in a row, as in f-strings, are a placeholder of the template.
FUNCTIONS = {
    word: (types, "{0} " + word + " {1}")
    for words, types in OPERATORS.items()
    for word in words.split()
}
DAY = "DATE_ADD(DATE '1970-01-01', INTERVAL CAST(FLOOR({0}) AS INT64) DAY)"
FUNCTIONS |= {
    "/": ("number number number", "{0} / NULLIF({1}, 0)"),
    "negative": ("number number", "-{0}"),
    "number": ("number boolean", "IF({0} IS NULL, NULL, IF({0}, 1, 0))"),
    "NOT": ("boolean boolean", "NOT {0}"),
    "IS NULL": ("boolean same", "{0} IS NULL"),
    "IF": ("same boolean same same", "IF({0}, {1}, {2})"),
    "COALESCE": ("same same same", "COALESCE({0}, {1})"),
    # Engines differ about NULL in their own functions.
    "LEAST": ("ordered ordered ordered", "IF({0} <= {1}, {0}, IF({0} > {1}, {1}, NULL))"),
    "GREATEST": ("ordered ordered ordered", "IF({0} >= {1}, {0}, IF({0} < {1}, {1}, NULL))"),
    "ABS": ("number number", "ABS({0})"),
    "LOG": ("number number", "LN(IF({0} > 0, {0}, NULL))"),
    "SQRT": ("number number", "SQRT(IF({0} >= 0, {0}, NULL))"),
    "POW": ("number number number", "POW({0}, {1})"),
    "ROUND": ("number number", "SIGN({0}) * FLOOR(ABS({0}) + 0.5)"),
    "DAYS_BETWEEN": ("number date date", "{1} - {0}"),
    **{part: ("number date", f"EXTRACT({part} FROM {DAY})") for part in ("YEAR", "MONTH", "DAY")},
    "WEEKDAY": ("number date", "FLOOR({0}) + 4 - 7 * FLOOR((FLOOR({0}) + 3) / 7)"),
    # Times are some microseconds off.
    "HOUR": ("number date", "FLOOR(({0} + 4e-10) * 24) - 24 * FLOOR({0} + 4e-10)"),
    "LOWER": ("text text", "TRANSLATE({0}, '" + ascii_uppercase + "', '" + ascii_lowercase + "')"),
    "LENGTH": ("number text", "CHAR_LENGTH({0})"),
    "CONCAT": ("text text text", "{0} || {1}"),
    "REGEXP_CONTAINS": ("boolean text pattern", "REGEXP_CONTAINS({0}, {1})"),
}
OF_MANY = ("COALESCE", "LEAST", "GREATEST", "CONCAT")
BINDING = ("OR", "AND", "NOT", "IS = <> != < <= > >=", "+ -", "* /")  # the loosest first
POWERS = {word: power for power, words in enumerate(BINDING, 1) for word in words.split()}
CALLED = sorted(name for name in FUNCTIONS if name.isupper() and name not in (*POWERS, "IS NULL"))
PREFIXES = {"NOT": ("NOT", 3), "-": ("negative", 7), "(": ("", 1)}
ANY, PATTERN = ("same", "ordered"), "pattern"
MOST_TOKENS = 200
TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)|(?P<quoted>`[^`]+`)"
    r"|(?P<text>[rR]'[^'\n]*'|[rR]\"[^\"\n]*\"|'(?:[^'\\\n]|\\[\\'\"nt])*'|\"(?:[^\"\\\n]|\\[\\'\"nt])*\")"
    r"|(?P<word>[^\W0-9]\w*)|(?P<mark><=|>=|<>|!=|\S))"
)


@dataclass(frozen=True)
class Node:
    """A function of `FUNCTIONS`, a "column" whose value is its name, or a "literal" whose value None is NULL.

    The type is "" as long as it may be any.
    """

    function: str
    type: str
    arguments: tuple["Node", ...] = ()
    value: float | str | None = None
    at: int = field(default=0, compare=False)

    def nodes(self) -> Iterator["Node"]:
        """Yield the nodes of this tree, arguments before their functions."""
        for each in self.arguments:
            yield from each.nodes()
        yield self


def parsed(texts: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, Node]:
    """Return the trees of the expressions of derived columns, whose types fit their kinds.

    `columns` are the kinds of all columns; one that is ignored has the type that functions take, in any of the expressions,
    else text. Raises `UserError` with the position of what is wrong.
    """
    for name, text in texts.items():
        if name not in columns or not isinstance(text, str):
            what = f"trainer/features.py: DERIVED has {shown(text)} for {shown(name)}"
            fix = f'write {shown(name)}: "numeric", or its kind, in COLUMNS'
            raise UserError(what, "an expression in quotes, and a kind in COLUMNS", fix)
    table = {name: kind for name, kind in columns.items() if name not in texts}
    trees = {name: Parser(name, texts[name], table).whole(columns[name]) for name in texts}
    table |= columns_read(trees)
    return {name: Parser(name, texts[name], table, TEXT).whole(columns[name]) for name in texts}


def columns_read(trees: Mapping[str, Node]) -> dict[str, str]:
    """Return the kind of each column that expressions read, as it is read."""
    nodes = (node for tree in trees.values() for node in tree.nodes() if node.function == "column")
    return {str(node.value): KINDS[node.type][0] for node in nodes if node.type}


class Parser:
    """Parses the expression of a column; what may be of any type is of the type `otherwise`."""

    def __init__(self, name: str, text: str, kinds: Mapping[str, str], otherwise: str = "") -> None:
        self.name, self.kinds, self.otherwise = name, kinds, otherwise
        found = ((str(each.lastgroup), each) for each in TOKEN.finditer(text))
        tokens = [(kind, each[kind], each.start(kind)) for kind, each in found]
        self.tokens = [("end", "", len(text)), *tokens[::-1]]

    @property
    def word(self) -> str:
        """The next token as an operator or a word of SQL, in capitals; "" for all else."""
        kind, text, _ = self.tokens[-1]
        return text.upper() if kind in ("word", "mark") else ""

    def takes(self, word: str) -> bool:
        return self.word == word and bool(self.tokens.pop())

    def need(self, word: str) -> None:
        if not self.takes(word):
            raise self.unexpected(word)

    def unexpected(self, expected: str) -> UserError:
        _, text, at = self.tokens[-1]
        return self.error(at, f"{shown(text)} stands here" if text else "it ends here", expected)

    def error(self, at: int, what: str, expected: str, fix: str = "correct it") -> UserError:
        where = f"trainer/features.py: DERIVED, {shown(self.name)}, character {at + 1}"
        return UserError(f"{where}: {what}", expected, fix)

    def whole(self, kind: str) -> Node:
        if len(self.tokens) > MOST_TOKENS:
            raise self.error(0, f"more than {MOST_TOKENS} words and signs", "fewer", "shorten it")
        tree = self.expression(1)
        if self.tokens[-1][0] != "end":
            raise self.unexpected("an operator, or the end")
        if not any(node.function == "column" for node in tree.nodes()):
            raise self.error(0, "the expression reads no column", "a column of the table")
        tree = replace(tree, type=tree.type or TYPES.get(kind, TEXT))
        kinds = [*KINDS[tree.type], "ignore"]
        if kind not in kinds:
            fix = f'write {shown(self.name)}: "{kinds[0]}" in COLUMNS'
            raise self.error(0, f"a {tree.type} is of the kind {kind}", " or ".join(kinds), fix)
        return self.call("number", 0, tree) if tree.type == BOOLEAN else tree

    def expression(self, power: int) -> Node:
        """Return the tree of what follows, up to an operator that binds less than `power`."""
        tree = self.operand()
        while POWERS.get(self.word, 0) >= power and self.word != "NOT":
            operator, (_, _, at) = self.word, self.tokens.pop()
            if operator == "IS":
                names = ["IS NULL", "NOT"] if self.takes("NOT") else ["IS NULL"]
                self.need("NULL")
                tree = reduce(lambda tree, name: self.call(name, at, tree), names, tree)
            else:
                tree = self.call(operator, at, tree, self.expression(POWERS[operator] + 1))
        return tree

    def operand(self) -> Node:
        word, (kind, text, at) = self.word, self.tokens[-1]
        if kind == "end" or ((kind == "mark" or word in POWERS) and word not in PREFIXES):
            raise self.unexpected("a column, a number, text in quotes or a function")
        self.tokens.pop()
        if word == "(":
            tree = self.expression(1)
            self.need(")")
            return tree
        if word in PREFIXES:
            name, power = PREFIXES[word]
            return self.call(name, at, self.expression(power))
        if kind in (NUMBER, TEXT):
            value = float(text) if kind == NUMBER else ast.literal_eval(text)
            is_finite = kind == TEXT or value <= LARGEST_FLOAT32
            return Node("literal", kind, value=value if is_finite else None, at=at)
        if word == "NULL":
            return Node("literal", "", at=at)
        if word and self.word == "(":
            return self.function(word, at)
        name = text.strip("`")
        self.find(name, at, self.kinds, "no column of the table", "a column that is not derived")
        return Node("column", TYPES.get(self.kinds[name], ""), value=name, at=at)

    def find(self, name: str, at: int, names: Iterable[str], what: str, expected: str) -> None:
        if name not in names:
            fix = nearest(name, names, "correct it")
            raise self.error(at, f"{shown(name)} is {what}", expected, fix)

    def function(self, name: str, at: int) -> Node:
        """Return the call of a function, whose name has been read."""
        self.find(name, at, CALLED, "no function here", f"one of {', '.join(CALLED)}")
        self.need("(")
        arguments = [self.expression(1)]
        while self.takes(","):
            arguments.append(self.expression(1))
        self.need(")")
        while name in OF_MANY and len(arguments) > 2:
            arguments[:2] = [self.call(name, at, *arguments[:2])]
        return self.call(name, at, *arguments)

    def call(self, name: str, at: int, *arguments: Node) -> Node:
        """Return a function of arguments of the types that it takes."""
        result, *types = FUNCTIONS[name][0].split()
        if len(arguments) != len(types):
            expected = f"{len(types)}{' or more' * (name in OF_MANY)}, separated by commas"
            raise self.error(at, f"{name} has {len(arguments)} argument(s)", expected)
        pairs = [*zip(arguments, types, strict=True)]
        common = max(each.type if own in ANY else "" for each, own in pairs) or self.otherwise
        if "ordered" in types and common in (TEXT, BOOLEAN):  # TensorFlow has no order of text
            raise self.error(at, f"{name} takes no {common}", "numbers or dates")
        fitting = (self.fit(name, each, common if own in ANY else own) for each, own in pairs)
        return Node(name, common if result in ANY else result, tuple(fitting), at=at)

    def fit(self, name: str, given: Node, wanted: str) -> Node:
        """Return an argument of the type that is wanted."""
        if wanted == PATTERN and (given.function, given.type) == ("literal", TEXT):
            return self.checked_pattern(given)
        if given.type not in ("", wanted) or wanted == PATTERN:
            what = f"{name} takes a {wanted} here, and this is a {given.type or 'NULL'}"
            raise self.error(given.at, what, f"a {wanted}", "correct it, or a kind in COLUMNS")
        return replace(given, type=given.type or wanted)

    def checked_pattern(self, given: Node) -> Node:
        from pyarrow import array, compute  # takes longer than the rest

        try:  # RE2, as in DuckDB, BigQuery and TensorFlow
            compute.match_substring_regex(array([""]), given.value)
            return given
        except ValueError as error:
            what = f"the pattern cannot be read ({str(error).splitlines()[0]})"
            raise self.error(given.at, what, "RE2's syntax, as in r'[0-9]+'") from error
