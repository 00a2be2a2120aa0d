"""CIFAR's batches are read whoever wrote them, and no file can make anything happen."""

from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.data.formats.cifar_pickle import read_batch
from initbench.errors import UserError
from tests.data.official_cifar10 import (
    array,
    batch,
    dictionary,
    integer,
    labels_list,
    pixels,
    string,
)

IMAGES = pixels(4)
LABELS = [3, 0, 9, 3]
DATA = array((4, 3072), IMAGES.tobytes())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data_batch_1"


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_batch(path, 4, 10)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert message.endswith("; replace it with the official file")
    return message


def check_read(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    images, labels = read_batch(path, 4, 10)
    assert images.dtype == np.uint8
    assert np.array_equal(images, IMAGES)
    assert labels.dtype == np.int64
    assert labels.tolist() == LABELS


@pytest.mark.parametrize("fortran", [False, True])
def test_the_published_format_is_read(path: Path, fortran: bool) -> None:
    check_read(path, batch(IMAGES, LABELS, fortran=fortran))


def test_the_fixture_is_what_pickle_itself_reads() -> None:
    for fortran in (False, True):
        content = pickle.loads(batch(IMAGES, LABELS, fortran=fortran), encoding="latin1")
        assert np.array_equal(content["data"], IMAGES.reshape(4, -1))
        assert content["labels"] == LABELS


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_copies_written_by_python_3_are_read(path: Path, protocol: int, order: Any) -> None:
    data = np.asarray(IMAGES.reshape(4, -1), order=order)
    check_read(path, pickle.dumps({"labels": LABELS, "data": data}, protocol))


class Calls:
    """Pickles to a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


CALLS: dict[str, Callable[..., Any]] = {
    "posix.system": os.system,
    "posix.mkdir": os.mkdir,
    "__builtin__.eval": eval,
    "__builtin__.exec": exec,
    "numpy.fromfile": np.fromfile,
}


@pytest.mark.parametrize(("name", "function"), CALLS.items(), ids=CALLS)
def test_other_functions_are_named_and_not_called(
    path: Path, in_tmp_path: Path, name: str, function: Callable[..., Any]
) -> None:
    call = Calls(function, "mkdir called")
    for content in (call, {"data": call, "labels": LABELS}, {"data": IMAGES, "more": [call]}):
        text = pickle.dumps(content, 2)
        assert f"`{name}`, which is not allowed" in refusal(path, text)
    assert [entry.name for entry in in_tmp_path.iterdir()] == [path.name]


def test_a_reduce_within_a_reduce_is_refused(path: Path, tmp_path: Path) -> None:
    """The allowed functions may be asked for with anything; nothing is done with it."""
    marker = tmp_path / "called"
    inner = b"cposix\nsystem\n" + string(b"touch " + os.fsencode(marker)) + b"\x85R"
    message = refusal(path, b"\x80\x02cnumpy\ndtype\n" + inner + b"\x85R.")
    assert "`posix.system`" in message
    assert not marker.exists()


NAMES = {
    "a method of an allowed class": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
    "an instance of Python 2": b"\x80\x02(S'true'\nios\nsystem\n.",
    "an object of Python 2": b"\x80\x02(cos\nsystem\nS'true'\no.",
    "a persistent object": b"\x80\x02Panything\n.",
    "a persistent object from the stack": b"\x80\x02N\x51.",
    "a registered extension": b"\x80\x02\x82\x01.",
    "a buffer from outside": b"\x80\x05\x97.",
    "a new object": b"\x80\x02cnumpy\nndarray\nK\x01\x85\x81.",
}


@pytest.mark.parametrize("content", NAMES.values(), ids=NAMES)
def test_other_ways_to_make_objects_are_refused(path: Path, content: bytes) -> None:
    assert "expected a pickled batch" in refusal(path, content)


def test_allowed_names_make_nothing(path: Path) -> None:
    """A pickle that asks for an array of a terabyte, or changes what it may name, gets neither."""
    huge = integer(2**30) + integer(1024) + b"\x86"
    direct = b"cnumpy\nndarray\n" + huge + b"\x85R"
    assert "got a call" in refusal(path, dictionary(data=direct, labels=labels_list(LABELS)))
    named = b"cnumpy\nndarray\n"
    assert "got a name" in refusal(path, dictionary(data=named, labels=labels_list(LABELS)))
    changed = named + b"N}" + string(b"name") + string(b"os.system") + b"s\x86b"
    assert "expected" in refusal(path, dictionary(data=changed, labels=labels_list(LABELS)))
    check_read(path, batch(IMAGES, LABELS))


BOMBS = {
    "a memo of a high number": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    "a memo of a high number in text": b"\x80\x02K\x01p2147483647\n.",
    "bytes that are not there": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b".",
    "a string that is not there": b"\x80\x02T\xff\xff\xff\x7f.",
    "text that is not there": b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b".",
    "a byte array that is not there": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".",
    "a number that is not there": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "a frame that is not there": b"\x80\x04\x95" + (2**60).to_bytes(8, "little") + b"N.",
    "doubled a hundred times": b"\x80\x02N" + b"2\x86" * 100 + b".",
    "nested deeply": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
    "a huge number": b"\x80\x02\x8b\x40\x42\x0f\x00" + b"\x7f" * 1_000_000 + b".",
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bombs_take_no_memory(path: Path, content: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(refusal(path, content)) < 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_a_file_that_is_much_too_large_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match="bytes, got more"):
        read_batch(path, 4, 10)


ARRAYS: dict[str, tuple[bytes, str]] = {
    "numbers": (array((4, 768), IMAGES.tobytes(), b"i4"), "got an array of another type"),
    "objects": (array((4, 3072), IMAGES.tobytes(), b"O8"), "got an array of another type"),
    "signed": (array((4, 3072), IMAGES.tobytes(), b"i1"), "got an array of another type"),
    "too few rows": (array((3, 3072), IMAGES[:3].tobytes()), "got one of shape (3, 3072)"),
    "other columns": (array((4, 1024), b"x" * 4096), "got one of shape (4, 1024)"),
    "no rows": (array((0, 3072), b""), "got one of shape (0, 3072)"),
    "bytes missing": (array((4, 3072), b"x" * 12_287), "got another number of bytes"),
    "bytes to spare": (array((4, 3072), b"x" * 12_289), "got another number of bytes"),
    "a list": (b"](K\x01K\x02e", "got a list"),
    "nothing": (b"N", "got a nonetype"),
}


@pytest.mark.parametrize(("data", "complaint"), ARRAYS.values(), ids=ARRAYS)
def test_other_arrays_are_refused(path: Path, data: bytes, complaint: str) -> None:
    message = refusal(path, dictionary(data=data, labels=labels_list(LABELS)))
    assert "expected `data` as an array of uint8 of shape (4, 3072), " + complaint in message


def test_a_shape_that_doubles_a_hundred_times_is_refused_at_once(path: Path) -> None:
    shape = integer(4) + integer(3072) + b"\x86"
    doubled = b"N" + b"2\x86" * 100
    content = dictionary(data=DATA.replace(shape, doubled), labels=labels_list(LABELS))
    assert "got one of shape a tuple" in refusal(path, content)


def test_text_that_is_no_bytes_is_refused(path: Path) -> None:
    content = pickle.dumps({"labels": LABELS, "data": IMAGES.reshape(4, -1)}, 2)
    assert content.count("\u00ff".encode()) > 1
    changed = content.replace("\u00ff".encode(), "\u0100".encode(), 1)
    assert "got another number of bytes" in refusal(path, changed)


def test_arrays_of_objects_that_numpy_pickles_are_refused(path: Path) -> None:
    content = {"data": np.array([[None] * 3072] * 4), "labels": LABELS}
    assert "got an array of another type" in refusal(path, pickle.dumps(content, 2))


LISTS: dict[str, tuple[bytes, str]] = {
    "too few": (labels_list(LABELS[:3]), "expected a list of 4 labels, got 3"),
    "none": (b"]", "expected a list of 4 labels, got 0"),
    "a string": (string(b"3093"), "expected a list of 4 labels, got a bytes"),
    "too large": (labels_list([3, 0, 10, 3]), "expected labels 0..9, got 10 for image 3"),
    "below zero": (labels_list([3, -1, 9, 3]), "expected labels 0..9, got -1 for image 2"),
    "a truth": (b"](\x88K\x00K\x09K\x03e", "expected labels 0..9, got a bool for image 1"),
    "a fraction": (
        b"](K\x03G" + b"?\xf0" + b"\0" * 6 + b"K\x09K\x03e",
        "expected labels 0..9, got a float for image 2",
    ),
    "huge": (
        b"](K\x03K\x00\x8b\xd0\x07\x00\x00" + b"\x7f" * 2000 + b"K\x03e",
        "expected labels 0..9, got a int for image 3",
    ),
}


@pytest.mark.parametrize(("labels", "complaint"), LISTS.values(), ids=LISTS)
def test_other_labels_are_refused(path: Path, labels: bytes, complaint: str) -> None:
    assert complaint in refusal(path, dictionary(data=DATA, labels=labels))


def test_other_contents_are_refused(path: Path) -> None:
    with pytest.raises(UserError, match="expected a pickled batch, got the error"):
        read_batch(path.parent, 4, 10)
    assert "expected a pickled dictionary, got a pickled list" in refusal(path, b"\x80\x02].")
    assert "expected the key `data`" in refusal(path, dictionary(labels=labels_list(LABELS)))
    assert "expected the key `labels`" in refusal(path, dictionary(data=DATA))
    assert "begins with b'<!DOCTYPE html>'" in refusal(path, b"<!DOCTYPE html>")
    assert "begins with b''" in refusal(path, b"")
    assert "begins with b'\\x1f\\x8b'" in refusal(path, b"\x1f\x8b")


def test_a_truncated_file_is_refused_wherever_it_ends(path: Path) -> None:
    whole = batch(IMAGES, LABELS)
    for keep in [*range(0, 300, 3), *range(300, len(whole), 499), len(whole) - 1]:
        refusal(path, whole[:keep])


@given(place=st.integers(0, 400), value=st.integers(0, 255), at_end=st.booleans())
def test_changed_bytes_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, at_end: bool
) -> None:
    """Whatever a byte of the structure becomes, nothing but a UserError comes out."""
    content = bytearray(batch(IMAGES, LABELS))
    content[-1 - place if at_end else place] = value
    path = tmp_path_factory.mktemp("changed") / "data_batch_1"
    path.write_bytes(content)
    try:
        images, labels = read_batch(path, 4, 10)
    except UserError:
        return
    assert images.shape == (4, 3, 32, 32)
    assert all(0 <= label < 10 for label in labels.tolist())
