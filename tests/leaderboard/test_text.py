"""Text from elsewhere cannot hide, reorder or link to what it should not."""

from __future__ import annotations

import doctest
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.leaderboard import text


def test_examples() -> None:
    outcome = doctest.testmod(text)
    assert outcome.attempted
    assert not outcome.failed


ANY_CHARACTER = st.characters()  # surrogates and control characters too


@given(st.text(ANY_CHARACTER, max_size=40))
def test_visible_text_is_valid_xml_and_utf8(name: str) -> None:
    element = ElementTree.Element("text")
    element.text = text.visible(name)
    parsed = ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8"))
    assert (parsed.text or "") == text.visible(name)


@given(st.text(ANY_CHARACTER, max_size=40))
def test_making_visible_twice_changes_nothing(name: str) -> None:
    assert text.visible(text.visible(name)) == text.visible(name)


@pytest.mark.parametrize("character", "\x00\x1b\x7f\x85\u202e\u2066\u200f\ud800\uffff")
def test_hidden_characters_are_written_out(character: str) -> None:
    assert text.visible(f"a{character}b") == f"a\\u{ord(character):04x}b"


@pytest.mark.parametrize("name", ["he_fan_out", "重み", "ядро é\n\ttwo lines", "a\u200db"])
def test_ordinary_text_stays(name: str) -> None:
    assert text.visible(name) == name


@given(st.text(st.characters(exclude_characters="…"), max_size=60), st.integers(5, 30))
def test_shortened_text_fits_and_keeps_both_ends(name: str, length: int) -> None:
    short = text.shortened(name, length)
    if len(name) <= length:
        assert short == name
    else:
        head, tail = short.split("…")
        assert len(short) == length
        assert name.startswith(head)
        assert name.endswith(tail)
        assert abs(len(head) - len(tail)) <= 1


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://example.org/",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " https://example.org/",
        "https://example.org/ javascript:",
        "https://example.org/\n",
        "https:///path",
        "https://",
        "//example.org",
        "data:text/html,hello",
        "https://user@example.org/",
        "https://[::1",
        "https://example.org/\u202efdp",
    ],
)
def test_only_plain_https_addresses_become_links(url: str | None) -> None:
    assert text.https_url(url) is None


@given(st.text(ANY_CHARACTER, max_size=80))
def test_slugs_are_fit_for_files_and_anchors(name: str) -> None:
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?-?", text.slug(name))
    assert "--" not in text.slug(name)
