"""CIFAR's Python batches: a pickle of one dictionary that holds an array of bytes and its labels.

Unpickling normally calls whatever functions a file names. Here nothing is called: the few names
that such a file needs become a record of what the file asks for, and the array is made from this
record after it was checked. Every other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from initbench.data.formats.refusal import refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHANNELS, SIDE = 3, 32
PIXELS = CHANNELS * SIDE * SIDE  # the channels one after another, each row by row

_RECONSTRUCT = "numpy._core.multiarray._reconstruct"
_NDARRAY = "numpy.ndarray"
_DTYPE = "numpy.dtype"
_ENCODE = "_codecs.encode"
_ALLOWED = {
    _RECONSTRUCT: _RECONSTRUCT,
    "numpy.core.multiarray._reconstruct": _RECONSTRUCT,  # before NumPy 2
    _NDARRAY: _NDARRAY,
    _DTYPE: _DTYPE,
    _ENCODE: _ENCODE,  # how Python 3 writes bytes for Python 2
}

_BYTES_PER_IMAGE = 2 * PIXELS  # bytes written for Python 2 take up to two each; names are short
_OVERHEAD = 1_000_000
_MOST_MEMOS = 1_000_000


def read_batch(
    path: Path, images: int, classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images (images, 3, 32, 32; read-only) and labels (images,) of one batch file.

    Raises:
        UserError: the file is not such a pickle, asks for anything but an array of bytes, or holds
            another number of images, other sizes or labels outside 0..classes - 1.
    """
    content = _unpickled(path, most=images * _BYTES_PER_IMAGE + _OVERHEAD)
    if not isinstance(content, dict):
        raise refusal(path, "a pickled dictionary", f"a pickled {type(content).__name__}")
    entries = {_text(key): value for key, value in content.items()}
    for key in ("data", "labels"):
        if key not in entries:
            raise refusal(path, f"the key `{key}`", "a dictionary without it")
    pixels = _array(path, entries["data"], (images, PIXELS))
    labels = _labels(path, entries["labels"], images, classes)
    return pixels.reshape(images, CHANNELS, SIDE, SIDE), labels


@dataclass(frozen=True, slots=True)
class _Name:
    """A function or class that a pickle names; calling it only notes the call."""

    name: str

    def __call__(self, *arguments: Any) -> _Call:
        return _Call(self.name, arguments)


@dataclass(slots=True)
class _Call:
    """What a pickle wants to have made: by which function, from what, with which state."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _Name:
        full = f"{module}.{name}"
        if full not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for `{full[:100]}`, which is not allowed")
        return _Name(_ALLOWED[full])

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it asks for a persistent object, which is not allowed")


def _unpickled(path: Path, most: int) -> Any:
    """Return the plain values, `_Name`s and `_Call`s of a pickle of at most `most` bytes."""
    expected = "a pickled batch"
    try:
        with path.open("rb") as file:
            text = file.read(most + 1)
    except OSError as error:
        raise refusal(path, expected, f"the error `{error}`") from None
    if len(text) > most:
        raise refusal(path, f"at most {most:,} bytes", "more")
    if not text.startswith(b"\x80"):
        raise refusal(path, expected, f"a file that begins with {text[:16]!r}")
    # What a hostile pickle makes the machine raise is not limited to UnpicklingError.
    try:
        _check_claims(text)
        return _Unpickler(io.BytesIO(text), encoding="bytes").load()
    except Exception as error:
        raise refusal(path, expected, f"the error `{str(error)[:200]}`") from None


def _check_claims(text: bytes) -> None:
    """Refuse a pickle that is shorter than it says, or numbers its memos too high.

    Unpickling takes memory for what is claimed before it notices that it is not there.
    """
    for opcode, argument, _ in pickletools.genops(text):
        if opcode.name in {"PUT", "LONG_BINPUT"} and (argument or 0) > _MOST_MEMOS:
            raise pickle.UnpicklingError("it numbers its memos too high")


def _array(path: Path, call: Any, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes that `call` describes, if that is what it describes."""
    import numpy as np

    expected = f"`data` as an array of uint8 of shape {shape}"
    match call:
        case _Call(
            name=name,
            arguments=(_Name(name=made), _, _),
            state=(int(), tuple(found), kind, is_fortran, raw),
        ) if name == _RECONSTRUCT and made == _NDARRAY:
            pass
        case _:
            raise refusal(path, expected, f"a {type(call).__name__.strip('_').lower()}")
    if _dtype(kind) != "u1":
        raise refusal(path, expected, "an array of another type")
    if found != shape:
        raise refusal(path, expected, f"one of shape {_shown(found)}")
    values = _bytes(raw)
    if values is None or len(values) != math.prod(shape):
        raise refusal(path, expected, "another number of bytes")
    return np.frombuffer(values, np.uint8).reshape(shape, order="F" if is_fortran else "C")


def _dtype(call: Any) -> str | None:
    match call:
        case _Call(name=name, arguments=(bytes() | str() as code, *_)) if name == _DTYPE:
            return _text(code)
    return None


def _bytes(raw: Any) -> bytes | None:
    match raw:
        case bytes():
            return raw
        case _Call(name=name, arguments=(str(text), "latin1")) if name == _ENCODE:
            # What is no byte is left out, and then their number is wrong.
            return text.encode("latin1", errors="ignore")
    return None


def _labels(path: Path, labels: Any, images: int, classes: int) -> NDArray[np.int64]:
    import numpy as np

    if not isinstance(labels, list) or len(labels) != images:
        got = f"{len(labels):,}" if isinstance(labels, list) else f"a {type(labels).__name__}"
        raise refusal(path, f"a list of {images:,} labels", got)
    for image, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < classes:
            got = f"{_shown(label)} for image {image + 1:,}"
            raise refusal(path, f"labels 0..{classes - 1}", got)
    return np.array(labels, dtype=np.int64)


def _text(key: Any) -> str | None:
    """Return what Python 2 wrote as a string, and Python 3 as bytes or a string."""
    if isinstance(key, bytes):
        return key.decode("latin1")
    return key if isinstance(key, str) else None


def _shown(value: Any) -> str:
    """Return a number or a shape as text, and of what may be anything and huge only the type."""
    if type(value) is tuple and 0 < len(value) <= 4 and all(map(_is_small, value)):
        return str(value)
    return str(value) if _is_small(value) else f"a {type(value).__name__}"


def _is_small(value: Any) -> bool:
    return type(value) is int and abs(value) < 10**12
