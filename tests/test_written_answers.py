"""How answers are written into the files of a project, and features into one line of text."""

import ast
import json
import string
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from cmle_extension import FILTERS, TemplateExtension
from cmle_extension.features_text import format_features, parse_features
from cmle_extension.quoting import packed, parsed, quoted
from tests.refused import refused

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ANY_TEXT = st.text(max_size=40)
quick = settings(max_examples=60, deadline=None)


NASTY = [
    '"',
    "'",
    "\\",
    '"""',
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\ufeff",
    "😀",
    "\u202e",
]


@given(ANY_TEXT | st.sampled_from(NASTY) | st.lists(st.sampled_from(NASTY)).map("".join))
@quick
def test_quoted_text_is_the_same_in_python_toml_yaml_and_json(value: str) -> None:
    literal = quoted(value)
    assert "\u202e" not in literal
    assert "\n" not in literal
    assert ast.literal_eval(literal) == value
    assert json.loads(literal) == value
    assert tomllib.loads(f"value = {literal}")["value"] == value
    assert yaml.safe_load(f"value: {literal}")["value"] == value


def test_quoted_takes_lists_and_dictionaries_of_text_and_nothing_else() -> None:
    assert quoted({"weight": "kg"}) == '{"weight": "kg"}' and quoted({}) == "{}"
    assert ast.literal_eval(quoted(["", "?", '"'])) == ["", "?", '"']
    assert quoted(()) == "[]"
    assert quoted("é😀") == '"é😀"'
    for other in (True, None, 3, [1], {"weight": 1}):
        with pytest.raises(TypeError, match="takes text, or a list or dictionary of texts"):
            quoted(other)  # type: ignore[arg-type]


@given(st.lists(ANY_TEXT | st.text(alphabet="{%#}\\", max_size=8)))
@quick
def test_packed_text_survives_one_more_rendering(values: list[str]) -> None:
    text = packed({"values": values})
    environment = Environment(line_statement_prefix="#%")
    assert environment.from_string(text).render() == text
    assert parsed(text) == {"values": values}


ONE_LINE = st.text(alphabet=string.printable[:-5] + ',:" é😀\\', max_size=12)


@given(st.lists(st.tuples(ONE_LINE, st.sampled_from(["numeric", "hashed"])), min_size=1))
@quick
def test_features_survive_writing_and_reading(pairs: list[tuple[str, str]]) -> None:
    assert parse_features(format_features(pairs)) == pairs


def test_features_are_written_as_readable_text() -> None:
    pairs = [
        ("age", "numeric"),
        ("a, b", "hashed"),
        ("x:y", "ignore"),
        (" z", "numeric"),
        ("it's", "hashed"),
    ]
    text = 'age:numeric, "a, b":hashed, "x:y":ignore, " z":numeric, it\'s:hashed'
    assert format_features(pairs) == text
    assert parse_features(' age : numeric,"a, b":hashed , x:y:ignore') == [
        *pairs[:2],
        ("x:y", "ignore"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the item '' is not a column with a kind"),
        ("age", "the item 'age' is not a column with a kind"),
        ("age:numeric,,b:hashed", "the item '' is not a column with a kind"),
        (":numeric", "the item ':numeric' is not a column with a kind"),
        ('"age:numeric', "the quotes in '\"age:numeric' are not closed"),
        ('"age" numeric', "no kind follows the name 'age'"),
        ('"age":numeric:b', "no kind follows the name 'age'"),
    ],
)
def test_features_outside_the_grammar_are_refused(text: str, words: str) -> None:
    assert words in refused(lambda: parse_features(text), "features: ", "for example")


def test_the_extension_registers_every_filter_by_its_name() -> None:
    environment = Environment(extensions=[TemplateExtension])
    assert {function.__name__ for function in FILTERS} <= set(environment.filters)
    assert environment.from_string("{{ 'a\"b' | quoted }}").render() == '"a\\"b"'
