"""Transfers: one file from one address over https, continued where it was cut off.

What has come is kept in a file of its own, so that any later attempt, at any mirror, goes on from
there. What a server says of a file is not relied on: the digest of the whole decides, and it is
for the caller to check.
"""

from __future__ import annotations

import http
import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from initbench.data.files import Report
from initbench.data.folder.archive import is_web_page

_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 18
_ATTEMPTS = 5
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)")


class TransferError(Exception):
    """A server did not deliver; the message is a clause that says why."""


def transfer(url: str, part: Path, size: int | None, what: str, report: Report) -> bool:
    """Complete the file `part` with what `url` has; what is in it counts as its beginning.

    Args:
        url: the address; it and those that it redirects to must be https.
        part: the file; it is made if it is missing.
        size: bytes that the whole has, where known.
        what: the name that `report` is given, with the bytes that are there.
        report: see `what`.

    Returns whether the bytes came in several answers, which may be those of different files.

    Raises:
        TransferError: no connection, no such file, another size, a web page, cut off again and
            again. What had come before is kept.
        OSError: `part` cannot be written.
    """
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "r+b") as file:
        came = file.seek(0, os.SEEK_END)
        if size is not None and came == size:
            return True
        if size is not None and came > size:
            _empty(file)
        for _ in range(_ATTEMPTS):
            before = file.tell()
            attempt = _attempt(url, file, size, what, report)
            if attempt.is_whole:
                os.fsync(file.fileno())
                return attempt.continued
            if file.tell() <= before:
                break
        raise TransferError(f"the transfer was cut off after {file.tell():,} bytes")


@dataclass(frozen=True)
class _Attempt:
    continued: bool
    """Whether the server let us go on from where we were."""
    is_whole: bool


def _attempt(url: str, file: BinaryIO, size: int | None, what: str, report: Report) -> _Attempt:
    """Ask once for what is missing and append it, or write all anew if the server begins anew."""
    offset = file.tell()
    try:
        answer = _open(url, offset)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            return _Attempt(continued=True, is_whole=True)  # as far as this server knows
        raise TransferError(f"{error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise TransferError(_reason(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransferError(_reason(error)) from None
    with answer:
        start, total = _extent(answer, offset)
        if size is not None and total not in (None, size):
            raise TransferError(f"expected a file of {size:,} bytes, got one of {total:,}")
        continued = start > 0
        try:
            for chunk in _chunks(answer, file, begins_anew=not continued):
                if size is not None and file.tell() + len(chunk) > size:
                    _empty(file)
                    raise TransferError(f"expected a file of {size:,} bytes, got a longer one")
                file.write(chunk)
                file.flush()  # so that a kill loses nothing
                report(what, file.tell(), size or total or 0)
        except _CutOffError:
            return _Attempt(continued, is_whole=False)
        return _Attempt(continued, is_whole=total is None or file.tell() == total)


class _CutOffError(Exception):
    """The connection broke."""


def _chunks(
    answer: http.client.HTTPResponse, file: BinaryIO, *, begins_anew: bool
) -> Iterator[bytes]:
    """Yield what comes, after emptying `file` if the server begins anew and really sends a file."""
    is_first = True
    while True:
        try:
            chunk = answer.read1(_CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _CutOffError from error
        if is_first and begins_anew:
            if is_web_page(chunk):
                raise TransferError("a web page came instead of the file")
            if not chunk:
                raise _CutOffError
            _empty(file)
        if not chunk:
            return
        is_first = False
        yield chunk


def _open(url: str, offset: int) -> http.client.HTTPResponse:
    """Ask for a file from byte `offset` on."""
    headers = {"User-Agent": "initbench"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    # The default context trusts what the system trusts, or what SSL_CERT_FILE names.
    https = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(https, _HttpsRedirects())
    request = urllib.request.Request(_checked(url), headers=headers)
    answer = opener.open(request, timeout=_TIMEOUT_SECONDS)
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        return super().redirect_request(req, fp, code, msg, headers, _checked(newurl))


def _checked(url: str) -> str:
    if not url.lower().startswith("https://"):
        raise TransferError(f"the address `{url}` is not https")
    return url


def _extent(answer: http.client.HTTPResponse, offset: int) -> tuple[int, int | None]:
    """Return with which byte of the file the answer begins, and how many the file has."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, answer.length
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None or int(match["start"]) != offset:
        raise TransferError(f"it was asked for the bytes from {offset:,} on, but sent others")
    return offset, None if match["total"] == "*" else int(match["total"])


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _reason(error: str | BaseException) -> str:
    """Return why there is no connection, without the numbers of the system."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT_SECONDS} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
