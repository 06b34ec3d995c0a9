"""YAML is read strictly: nothing turns into something else, and every refusal names its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcli.config.reader import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, read, read_value
from flowcli.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2", -2),
        ("+2", 2),
        ("0", 0),
        (".5", 0.5),
        ("1.", 1.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        # All of these are something else in YAML 1.1.
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("2024-01-31", "2024-01-31"),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("=", "="),
        # Quotes make text of anything.
        ("'5'", "5"),
        ('"true"', "true"),
        ("[1, [2, a]]", [1, [2, "a"]]),
        ("{a: 1, b: {c: no}}", {"a": 1, "b": {"c": "no"}}),
    ],
)
def test_a_scalar_is_what_it_looks_like(text, value):
    read_back = read(f"key: {text}", "x.yaml").values["key"]
    assert (read_back, type(read_back)) == (value, type(value))
    assert read_value(text, "--set") == value


def test_keys_are_text_as_written():
    assert read("{1: a, no: b, true: c, 2024-01-31: d, <<: e}", "x").values == {
        "1": "a",
        "no": "b",
        "true": "c",
        "2024-01-31": "d",
        "<<": "e",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flow: {}\nflow: {}", "x.yaml:2:1: key 'flow' is already in line 1"),
        ("a:\n  b: 1\n  'b': 2", "x.yaml:3:3: key 'b' is already in line 2"),
        ("a: [{b: 1, b: 2}]", "x.yaml:1:12: key 'b' is already in line 1"),
        ("a: &here 1\nb: *here", "x.yaml:1:4: an anchor, &here; configs have none"),
        ("a: *here", "x.yaml:1:4: an alias, *here; write the value out"),
        ("a: !!str 1", "x.yaml:1:4: a tag, '!!str'; configs have none"),
        ("a: !!python/object/apply:os.system [true]", "x.yaml:1:4: a tag, '!!python/object/apply:os.system'"),
        ("a: ! 1", "x.yaml:1:4: a tag, '!'"),
        ("!x\na: 1", "x.yaml:1:1: a tag"),
        ("%YAML 1.1\n---\na: 1", "x.yaml:1:1: a % directive"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document"),
        ("a:\n\tb: 1", "x.yaml:2:1: a tab; YAML is indented with spaces"),
        ("a:\t1", "x.yaml:1:3: a tab"),
        ("- a\n- b", "x.yaml:1:1: a config is a mapping"),
        ("just text", "x.yaml:1:1: a config is a mapping"),
        ("", "x.yaml: there is nothing in it"),
        ("# only a comment\n", "x.yaml: there is nothing in it"),
        ("? [a, b]\n: 1", "x.yaml:1:3: a list or mapping as a key"),
        ("a: b: c", "x.yaml:1:5: a ':' where none can be"),
        ("a: 1\n  b: 2", "x.yaml:2:4: a ':' where none can be"),
        ("a: {}\n  b: 2", "x.yaml:2:3: this line does not fit"),
        ("a: [1, 2", "x.yaml:1:9: the end, but a bracket or quote is still open"),
        ("a: 'b", "x.yaml:1:6: the end, but a bracket or quote is still open"),
        ("a: 1\nb: \x00", r"x.yaml:2:4: character '\x00' is not allowed"),
        (b"a: 1\nb: '\xe4'", "x.yaml:2:5: not UTF-8 text"),
        ("a: 1".encode("utf-16"), "x.yaml:1:1: not UTF-8 text"),
        ("a: " + "1" * (MAX_DIGITS + 1), f"x.yaml:1:4: a number of more than {MAX_DIGITS} digits"),
        ("a: 0." + "1" * MAX_DIGITS, f"x.yaml:1:4: a number of more than {MAX_DIGITS} digits"),
        ("a: 1e400", "x.yaml:1:4: 1e400 is too large"),
        ("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, f"x.yaml:1:{MAX_DEPTH + 3}: more than {MAX_DEPTH} levels"),
        ("a: " + "[" * 30_000, f"more than {MAX_DEPTH} levels"),
        ("a: 1 # " + "x" * MAX_BYTES, "x.yaml: more than 64 KiB"),
    ],
)
def test_what_a_config_may_not_hold_is_refused_with_its_place(text, message):
    with pytest.raises(ConfigError) as caught:
        read(text, "x.yaml")
    assert str(caught.value).startswith(message) or (not message.startswith("x.yaml") and message in str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["a: " + "1" * MAX_DIGITS, "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), b"\xef\xbb\xbfa: 1"]
)
def test_the_limits_themselves_are_allowed(text):
    assert "a" in read(text, "x.yaml").values


def test_every_line_is_known():
    lines = read("a: 1\nb:\n  c:\n    - d\n    - e: 2\n", "x.yaml").lines
    assert [(".".join(map(str, path)), line) for path, line in lines.items()] == [
        ("a", 1),
        ("b", 2),
        ("b.c", 3),
        ("b.c.0", 4),
        ("b.c.1", 5),
        ("b.c.1.e", 5),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is nothing in it"),
        ("# comment", "there is nothing in it"),
        ("a: b", "write a list as [a, b]"),
        ("- a", "write a list as [a, b]"),
        ("1\n2", "a value is one line"),
        ("[1", "still open"),
        ("*a", "an alias"),
    ],
)
def test_a_value_is_a_scalar_or_in_brackets(text, message):
    with pytest.raises(ConfigError, match=r"^--set x: ") as caught:
        read_value(text, "--set x")
    assert message in str(caught.value)


@given(
    st.one_of(
        st.text(max_size=40),
        st.binary(max_size=40),
        st.text(alphabet="ab:-[]{}#&*!|>'\"%@`,? \n\t01.e", max_size=40),
    )
)
def test_whatever_the_text_it_is_read_or_refused_in_one_line(data):
    try:
        said, values = "x.yaml", read(data, "x.yaml").values
    except ConfigError as error:
        said, values = str(error), {}
    assert said.startswith("x.yaml")
    assert len(said.splitlines()) == 1
    assert isinstance(values, dict)
