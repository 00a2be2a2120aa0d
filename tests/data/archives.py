"""Archives as they are published, and as nobody should publish them."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping

Files = Mapping[str, bytes]


def tar(files: Files, mode: str = "w", *extra: tarfile.TarInfo) -> bytes:
    """Return a tar archive of `files`, and then of headers without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return buffer.getvalue()


def tar_gz(files: Files) -> bytes:
    return tar(files, "w:gz")


def zipped(files: Files, link: str = "") -> bytes:
    """Return a zip archive, in which `link` is marked as a symbolic link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFLNK if name == link else stat.S_IFREG) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


PACKERS: dict[str, Callable[[Files], bytes]] = {"tar": tar, "tar.gz": tar_gz, "zip": zipped}


def header(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info
