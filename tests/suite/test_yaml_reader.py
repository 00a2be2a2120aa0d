from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from initbench.errors import UserError
from initbench.suite.yaml_reader import (
    MAX_BYTES,
    MAX_VALUES,
    Mark,
    Node,
    node_of,
    read_document,
    read_file,
    read_value,
    write_document,
    write_value,
)

KEYS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PRINTABLE
    | st.sampled_from(
        ["no", "on", "1e-3", "012", "1:30", "2026-01-01", "~", "true", "<<", "", ".5"]
    )
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def read(text: str) -> Any:
    return read_document(text, "f.yaml").plain()


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        read_document(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5E+2", 150.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("0", 0),
        ("-0", 0),
        ("+3", 3),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        # What YAML 1.1 would have made booleans, octal, sexagesimal, dates, and so on.
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("off", "off"),
        ("y", "y"),
        ("012", "012"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("2026-01-01", "2026-01-01"),
        ("1e", "1e"),
        ("nan", "nan"),
        ("=", "="),
        ("'12'", "12"),
        ('"true"', "true"),
    ],
)
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    found = read(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: empty; a suite starts with `title: ...`"),
        ("# only a comment\n", "f.yaml: empty; a suite starts with `title: ...`"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key `a` is here a second time (first: f.yaml:1:1)"),
        ("{a: 1, 'a': 2}", "f.yaml:1:8: the key `a` is here a second time (first: f.yaml:1:2)"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document; a suite file holds one"),
        ("a: !!python/name:os.system x", "f.yaml:1:4: tags such as `!!python/name:os.system` are "
         "not allowed"),
        ("a: !env HOME", "f.yaml:1:4: tags such as `!env` are not allowed"),
        ("a: ! 12", "f.yaml:1:4: tags such as `!` are not allowed"),
        ("!!map {a: 1}", "f.yaml:1:1: tags such as `!!map` are not allowed"),
        ("a: &x 1\nb:\n  <<: *x\n", "f.yaml:3:3: merge keys (`<<`) are not part of YAML 1.2; "
         "repeat the keys, or use an alias for a whole value"),
        ("1: x", "f.yaml:1:1: a key has to be a string, got `1`"),
        ("true: x", "f.yaml:1:1: a key has to be a string, got `true`"),
        ("~: x", "f.yaml:1:1: a key has to be a string, got `~`"),
        ("? [a, b]\n: x", "f.yaml:1:3: a key has to be a string, got a collection"),
        ("a: &x [*x]", "f.yaml:1:4: this anchor contains itself"),
        ("a: &x {b: {c: *x}}", "f.yaml:1:4: this anchor contains itself"),
        ("a: *x", "f.yaml:1:4: not valid YAML: found undefined alias 'x'"),
        ("a: &x 1\nb: &x 2", "f.yaml:2:4: this anchor has been defined before"),
        ("a: .nan", "f.yaml:1:4: `.nan` is not a finite number"),
        ("a: -.INF", "f.yaml:1:4: `-.INF` is not a finite number"),
        ("a: 1e999", "f.yaml:1:4: `1e999` is not a finite number"),
        ("a: 1234567890123456789", "f.yaml:1:4: a number of more than 18 digits; text needs "
         "quotes"),
        ("a:\n\tb: 1", "f.yaml:2:1: a tab; indent with spaces"),
        ("a: b: c", "f.yaml:1:5: a `:` where none can be; check the indentation, or put text with "
         "`: ` in it in quotes"),
        ("a: 1\nbcd\ne: 2", "f.yaml:3:1: a key without `:` behind it"),
        ("a: [1, 2", "f.yaml:1:9: not valid YAML: expected ',' or ']', but got '<stream end>' "
         "(while parsing a flow sequence)"),
        ("a: \x00", "f.yaml:1:4: the control character U+0000 in the text"),
        ("a: 1\nb: \x1b[2J", "f.yaml:2:4: the control character U+001B in the text"),
        ("a: \u202egnp", "f.yaml:1:4: the control character U+202E in the text"),
        ('a: "\\e[2J"', "f.yaml:1:4: the control character U+001B in a string"),
        ('"\\0": 1', "f.yaml:1:1: the control character U+0000 in a string"),
        ('a: "\\ud800"', "f.yaml:1:4: the control character U+D800 in a string"),
        ('a: "\\UFFFFFFFF"', "f.yaml:1:7: not valid YAML: a number or an escape out of range"),
        (f"%YAML 1.{'9' * 5000}\n---\na: 1", "f.yaml:1:9: not valid YAML: a number or an escape "
         "out of range"),
        ("%YAML 2.0\n---\na: 1", "f.yaml:1:1: not valid YAML: found incompatible YAML document "
         "(version 1.* is required)"),
    ],
)  # fmt: skip
def test_each_trap_has_its_message(text: str, message: str) -> None:
    assert refusal(text) == message


def test_anchors_and_aliases_are_allowed_within_bounds() -> None:
    text = "a: &x [1, 2]\nb: *x\nc: {d: *x}\n"
    assert read(text) == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


def test_the_mark_of_an_alias_is_where_the_value_was_written_and_its_key_where_it_is_used() -> None:
    root = read_document("a: &x [1, 2]\nbcd: *x\n", "f.yaml")
    assert root.nearest(("bcd",)).mark == Mark("f.yaml", 1, 4)
    assert root.nearest(("bcd",)).key_mark == Mark("f.yaml", 2, 1)


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    began = time.process_time()
    assert refusal("\n".join(lines)).endswith("values once all aliases are expanded")
    assert time.process_time() - began < 1


def test_aliases_cannot_nest_deeper_than_brackets() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60)]
    assert "levels deep once all aliases are expanded" in refusal("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_BYTES,
        "{" * MAX_BYTES,
        "- " * (MAX_BYTES // 2),
        "[" + "a," * (MAX_BYTES // 2),
        "a:\n" + " - b\n" * (MAX_VALUES + 1),
    ],
    ids=["brackets", "braces", "dashes", "list", "block list"],
)
def test_depth_and_number_of_values_are_bounded_while_reading(text: str) -> None:
    began = time.process_time()
    assert "more than" in refusal(text)
    assert time.process_time() - began < 10


@given(st.text(max_size=200) | st.text("[]{}:,-?&*!|>'\"%@#\\ \n\tabU0019.<~", max_size=60))
def test_no_text_raises_anything_but_a_user_error(text: str) -> None:
    with contextlib.suppress(UserError):
        assert isinstance(read_document(text, "f.yaml"), Node)


@given(TREES)
def test_a_written_value_reads_as_it_was(tree: object) -> None:
    text = write_value(tree)
    assert "\n" not in text
    assert read_value(text, "here").plain() == tree


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4))
def test_a_written_document_reads_as_it_was(tree: dict[str, Any]) -> None:
    assert read(write_document(tree)) == tree


def test_a_written_document_is_not_misread_by_others_either() -> None:
    tree = {"a": ["no", "012", "1e-3", "1:30", "2026-01-01", "<<", "=", "0x1F", "~", "plain"]}
    assert yaml.safe_load(write_document(tree)) == tree


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4))
def test_json_means_what_it_means_to_others(tree: dict[str, Any]) -> None:
    assert read(json.dumps(tree, ensure_ascii=False)) == json.loads(json.dumps(tree))


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4))
def test_every_key_is_found_where_its_mark_says(tree: dict[str, Any]) -> None:
    text = write_document(tree)
    lines = text.split("\n")

    def check(node: Node) -> None:
        children = node.value.items() if isinstance(node.value, dict) else ()
        for key, child in children:
            mark = child.key_mark
            assert mark is not None
            written = lines[mark.line - 1][mark.column - 1 :].lstrip("? ")
            assert written.lstrip("'\"").startswith(key)
            check(child)
        for item in node.value if isinstance(node.value, list) else ():
            check(item)

    check(read_document(text, "f.yaml"))


def test_nodes_of_a_plain_tree_carry_one_mark() -> None:
    mark = Mark("from --set x")
    node = node_of({"a": [1, {"b": None}]}, mark)
    assert node.plain() == {"a": [1, {"b": None}]}
    assert node.nearest(("a", 1, "b")).mark == mark
    assert str(mark) == "from --set x"


class TestFile:
    def refusal(self, path: Path) -> str:
        with pytest.raises(UserError) as caught:
            read_file(path, "f.yaml")
        return str(caught.value)

    def test_a_byte_order_mark_is_not_part_of_the_text(self, tmp_path: Path) -> None:
        path = tmp_path / "f.yaml"
        path.write_bytes(b"\xef\xbb\xbftitle: x\n")
        assert read_file(path, "f.yaml") == "title: x\n"

    def test_another_encoding(self, tmp_path: Path) -> None:
        path = tmp_path / "f.yaml"
        path.write_bytes("title: x\nquestion: für\n".encode("latin-1"))
        expected = "f.yaml:2: not UTF-8 text (byte 0xfc); save the file with the encoding UTF-8"
        assert self.refusal(path) == expected
        path.write_bytes("title: x".encode("utf-16"))
        assert self.refusal(path).startswith("f.yaml:1: not UTF-8 text")

    def test_a_file_that_is_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "f.yaml"
        path.write_bytes(b"#" * (MAX_BYTES + 1))
        assert self.refusal(path) == "`f.yaml` is larger than 1 MiB, too large for a suite"

    def test_something_that_is_no_file(self, tmp_path: Path) -> None:
        expected = "`f.yaml` is not a regular file; give the path of a YAML file"
        assert self.refusal(tmp_path) == expected
        os.mkfifo(tmp_path / "pipe")
        assert self.refusal(tmp_path / "pipe") == expected
