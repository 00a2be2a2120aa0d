"""JSON files with a seal: what lies on disk is exactly what was written, or it is refused.

A file is one line, `{"checksum":"<sha256 of the content>","content":{...}}`, the content in the
canonical form of `identity.py`. So the same content is the same bytes on every machine, and every
changed byte is noticed. Compact rather than indented: records are written once and never edited;
`initbench explain` or any JSON tool shows them to people.

The seal guards against damage, not against forgery: whoever can write the folder can make a seal.
Reading is therefore strict about structure, too, and never executes anything.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from initbench import __version__
from initbench.errors import CorruptRecordError, StoreError, UserError
from initbench.store.identity import canonical, canonical_again

MAX_BYTES = 64 * 2**20
"""A larger file is refused unread; a record with a million values on its curves has half of it."""

_SEAL = re.compile(rb'\{"checksum":"([0-9a-f]{64})","content":(\{.*\})\}\n', re.DOTALL)

ModelT = TypeVar("ModelT", bound=BaseModel)


def seal(model: BaseModel) -> bytes:
    """Return the bytes of the file that stands for `model`.

    Raises StoreError if it holds something that strict JSON cannot (NaN, a path, a tensor).
    """
    name = type(model).__name__
    try:
        content = canonical(model.model_dump())
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"this {name} cannot be stored: {error}") from error
    checksum = hashlib.sha256(content).hexdigest().encode()
    data = b'{"checksum":"' + checksum + b'","content":' + content + b"}\n"
    if len(data) > MAX_BYTES:
        raise StoreError(
            f"this {name} cannot be stored: {len(data)} bytes, at most {MAX_BYTES} are allowed"
        )
    return data


def read(path: Path, model: type[ModelT]) -> ModelT | None:
    """Return what was sealed in the file `path`, or None if there is no such file.

    Raises CorruptRecordError if the file is not what was written, UserError if a version of
    initbench wrote it whose format this one does not know, StoreError if it cannot be read.
    """
    data = _bytes(path)
    return None if data is None else unseal(data, model, path)


def unseal(data: bytes, model: type[ModelT], path: Path) -> ModelT:
    """Return what was sealed in `data`, which was read from `path`; raises as `read` does."""
    try:
        content = _unsealed(data)
        known = model.model_fields["format"].default
        found = _parsed(content).get("format")
        if type(found) is not int:
            raise ValueError("it does not say which format it has")
        if found != known:
            raise UserError(
                f"`{path}` has format {found}; initbench {__version__} reads format {known}: "
                "use the initbench that wrote it, or another results folder"
            )
        return model.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorruptRecordError(f"`{path}` is corrupt: `{where}`: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise CorruptRecordError(f"`{path}` is corrupt: {error}") from error


def _bytes(path: Path) -> bytes | None:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise CorruptRecordError(f"`{path}` is corrupt: it is no regular file")
        if info.st_size > MAX_BYTES:
            raise CorruptRecordError(f"`{path}` is corrupt: it is larger than {MAX_BYTES} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read `{path}`: {error.strerror}") from error


def _unsealed(data: bytes) -> bytes:
    match = _SEAL.fullmatch(data)
    if not match:
        raise ValueError(f"it is no sealed file ({len(data)} bytes)" if data else "it is empty")
    checksum, content = match.groups()
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        raise ValueError("its content does not fit its checksum")
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    """Parse `content` if it is canonical: no key twice, no NaN, no number beyond a float."""
    tree: dict[str, Any] = json.loads(content)
    if canonical_again(tree) != content:
        raise ValueError("its content is not in canonical form")
    return tree
