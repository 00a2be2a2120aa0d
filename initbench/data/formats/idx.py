"""IDX: the format of MNIST, a header of big-endian sizes and then the bytes, gzipped or not.

Described by Y. LeCun, C. Cortes and C. Burges on the page of the MNIST database: two zero bytes, a
byte that names the type of the values, a byte with the number of dimensions, the size of each
dimension (32 bits, big-endian), the values with the last dimension changing fastest.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.formats.refusal import refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BYTES = 8  # the type code of unsigned bytes


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the bytes of an IDX file (`.gz` or not) that holds an array of exactly this shape.

    Memory is taken for what is expected, whatever the file claims.

    Raises:
        UserError: the file is not IDX, holds another shape or type, or ends too early or too late.
    """
    import numpy as np

    try:
        with _opened(path) as file:
            _check_header(path, file.read(4 + 4 * len(shape)), shape)
            values = file.read(math.prod(shape))
            more = file.read(1)
    except (OSError, EOFError, zlib.error) as error:
        raise refusal(path, "a whole file", f"the error `{error}`") from None
    if len(values) < math.prod(shape):
        raise refusal(path, f"{math.prod(shape):,} values", f"{len(values):,}")
    if more:
        raise refusal(path, f"{math.prod(shape):,} values", "more")
    writable = bytearray(values)  # as torch wants it
    return np.frombuffer(writable, np.uint8).reshape(shape)


def _opened(path: Path) -> io.BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _check_header(path: Path, header: bytes, shape: tuple[int, ...]) -> None:
    if header[:2] != b"\0\0" or len(header) < 4:
        raise refusal(path, "an IDX file", f"one that begins with {header[:4]!r}")
    kind, dimensions = header[2], header[3]
    if kind != _BYTES:
        raise refusal(path, f"unsigned bytes (type 0x{_BYTES:02x})", f"type 0x{kind:02x}")
    if dimensions != len(shape):
        raise refusal(path, f"{len(shape)} dimensions", str(dimensions))
    if len(header) < 4 + 4 * dimensions:
        raise refusal(path, f"a header of {4 + 4 * dimensions} bytes", str(len(header)))
    found = struct.unpack(f">{dimensions}I", header[4:])
    if found != shape:
        raise refusal(path, f"the shape {_shown(shape)}", _shown(found))


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)
