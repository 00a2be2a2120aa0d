"""What is read is what was written; everything else is refused, by name and reason."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.errors import CorruptRecordError, StoreError, UserError
from initbench.store import sealed as module
from initbench.store.identity import canonical
from initbench.store.record import Curve, Record
from initbench.store.sealed import read, seal
from tests.factories import record
from tests.store.test_identity import objects
from tests.store.worlds import put, sealed

numbers = st.floats(allow_nan=False, allow_infinity=False)


def content(**changes: Any) -> dict[str, Any]:
    """What lies in the file of an ordinary record."""
    tree: dict[str, Any] = {**record().model_dump(), **changes}
    return tree


def test_the_file_is_one_line_of_json_with_the_checksum_of_its_content() -> None:
    data = seal(record())
    tree = json.loads(data)
    assert set(tree) == {"checksum", "content"}
    assert tree["checksum"] == hashlib.sha256(canonical(tree["content"])).hexdigest()
    assert tree["content"]["status"] == "done"
    assert data.count(b"\n") == 1
    assert data.endswith(b"}\n")
    assert data == sealed(canonical(content()))


@given(
    objects,
    objects,
    st.lists(st.none() | numbers, max_size=5),
    st.dictionaries(st.text(max_size=5), numbers),
)
def test_any_record_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    identity: Any,
    environment: Any,
    values: list[float | None],
    final: dict[str, float],
) -> None:
    curve = Curve(steps=list(range(len(values))), epochs=[0.5] * len(values), values=values)
    written = record(identity=identity, environment=environment, curves={"x": curve}, final=final)
    path = put(tmp_path_factory.mktemp("sealed") / "x.json", seal(written))
    found = read(path, Record)
    assert found == written
    assert found is not None
    assert seal(found) == seal(written)


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "missing.json", Record) is None
    assert read(tmp_path / "missing" / "missing.json", Record) is None


@given(data=st.data())
def test_any_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(seal(record()))
    where = data.draw(st.integers(0, len(whole) - 1))
    whole[where] ^= data.draw(st.integers(1, 255))
    path = put(tmp_path_factory.mktemp("sealed") / "x.json", bytes(whole))
    with pytest.raises(CorruptRecordError, match=r"x\.json` is corrupt: "):
        read(path, Record)


@given(data=st.data())
def test_any_missing_or_added_part_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = seal(record())
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start + 1, len(whole)))
    path = tmp_path_factory.mktemp("sealed") / "x.json"
    for damaged in (whole[:start], whole[:start] + whole[end:], whole + whole[start:end]):
        with pytest.raises(CorruptRecordError):
            read(put(path, damaged), Record)


GOOD = canonical(record().model_dump())


def swapped(old: bytes, new: bytes) -> bytes:
    """The content of a good record with one part exchanged."""
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def with_note(note: bytes) -> bytes:
    return swapped(b'"notes":[]', b'"notes":[' + note + b"]")


def with_environment(value: bytes) -> bytes:
    return swapped(b'"device":"cpu"', b'"device":' + value)


HOSTILE = {
    "deep list": with_environment(b"[" * 100_000 + b"]" * 100_000),
    "deep object": with_environment(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "deep, but not for Python": with_environment(b"[" * 400 + b"]" * 400),
    "huge integer": with_environment(b"9" * 10_000),
    "huge float": swapped(b'"test_loss.best":0.4', b'"test_loss.best":1e999'),
    "huge float anywhere": with_environment(b"1e999"),
    "NaN": swapped(b'"test_loss.best":0.4', b'"test_loss.best":NaN'),
    "Infinity": swapped(b'"test_loss.best":0.4', b'"test_loss.best":-Infinity'),
    "NaN anywhere": with_environment(b"NaN"),
    "key twice": swapped(b'"classes":10', b'"classes":2,"classes":10'),
    "key twice below": swapped(b'"test_loss.best":0.4', b'"test_loss.best":0,"test_loss.best":0.4'),
    "white space": swapped(b'"classes":10', b'"classes": 10'),
    "unsorted": swapped(b'"attempts":1,"best_index":3', b'"best_index":3,"attempts":1'),
    "number written otherwise": swapped(b'"test_loss.best":0.4', b'"test_loss.best":0.40'),
    "escaped where it need not be": with_note(b'"\\u0061"'),
    "lone surrogate": with_note(b'"\\ud800"'),
    "no UTF-8": with_note(b'"\xff"'),
    "UTF-16": GOOD.decode().encode("utf-16-le"),
    "two objects": GOOD + GOOD,
    "no object": b'["format",1]',
    "empty object": b"{}",
    "no format": swapped(b'"format":1,', b""),
    "format as text": swapped(b'"format":1', b'"format":"1"'),
    "format as float": swapped(b'"format":1', b'"format":1.0'),
    "format as boolean": swapped(b'"format":1', b'"format":true'),
    "null byte": GOOD + b"\0",
}


def test_the_good_content_behind_the_hostile_ones_is_good(tmp_path: Path) -> None:
    assert read(put(tmp_path / "x.json", sealed(GOOD)), Record) == record()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_with_a_right_seal_is_corrupt(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / "x.json", sealed(HOSTILE[name]))
    with pytest.raises(CorruptRecordError, match=r"x\.json` is corrupt: "):
        read(path, Record)


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"status": "excellent"},
        {"classes": "10"},
        {"classes": 10.5},
        {"curves": {"x": {"steps": ["0"], "epochs": [0.0], "values": [1.0]}}},
        {"best_index": False},
        {"identity": []},
        {"weights": {"digest": "x"}},
    ],
    ids=str,
)
def test_content_of_another_structure_is_corrupt(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = put(tmp_path / "x.json", sealed(canonical(content(**changes))))
    with pytest.raises(CorruptRecordError, match=next(iter(changes))):
        read(path, Record)


def test_a_record_of_an_older_version_may_lack_what_has_a_default(tmp_path: Path) -> None:
    tree = content()
    del tree["notes"]
    found = read(put(tmp_path / "x.json", sealed(canonical(tree))), Record)
    assert found == record()


def test_another_format_is_refused_by_name_and_is_not_corrupt(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", sealed(canonical({"format": 2, "new": "thing"})))
    with pytest.raises(
        UserError, match=r"x\.json` has format 2; initbench \S+ reads format 1: use the initbench"
    ):
        read(path, Record)


def test_only_regular_files_of_bearable_size_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "device.json").symlink_to("/dev/zero")
    for name in ("folder", "pipe", "device"):
        with pytest.raises(CorruptRecordError, match="no regular file"):
            read(tmp_path / f"{name}.json", Record)
    path = put(tmp_path / "large.json", seal(record()))
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(CorruptRecordError, match="larger than 1000 bytes"):
        read(path, Record)
    with pytest.raises(StoreError, match="at most 1000 are allowed"):
        seal(record())


def test_a_file_below_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot read .*: Not a directory"):
        read(tmp_path / "file" / "x.json", Record)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Path("x"), (1, 2), {1: 2}, b"x", "\ud800"], ids=repr
)
def test_what_strict_json_cannot_hold_is_never_written(value: Any) -> None:
    with pytest.raises(StoreError, match="this Record cannot be stored: "):
        seal(record(environment={"x": value}))
