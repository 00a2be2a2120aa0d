"""Text from elsewhere, made safe to show: names, messages, citations, addresses.

Escaping is the business of jinja2 and ElementTree; here is what escaping does not catch.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters besides tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the direction of the text around
    "\ud800-\udfff\ufffe\uffff]"  # no characters: neither HTML nor XML may hold them
)


def visible(text: str) -> str:
    r"""Return `text` with characters that hide or reorder what is shown written out as escapes.

    >>> print(visible("he\u202efdp.exe"))
    he\u202efdp.exe
    """
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shortened(text: str, length: int) -> str:
    """Return `text` in at most `length` characters, its middle left out where it is longer.

    >>> shortened("a_rather_long_name_fan_out", 16)
    'a_rather…fan_out'
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return text[: length - 1 - tail] + "…" + text[-tail:]


def https_url(url: str | None) -> str | None:
    """Return `url` if it is a plain https address that may become a link, else None.

    >>> https_url("https://arxiv.org/abs/1502.01852")
    'https://arxiv.org/abs/1502.01852'
    >>> https_url("javascript:alert(1)") is None
    True
    """
    if not url or visible(url) != url or any(c.isspace() for c in url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return url if parts.scheme == "https" and host and "@" not in parts.netloc else None


def slug(text: str) -> str:
    """Return `text` as part of an address or a file name: lower-case letters, digits, hyphens.

    >>> slug("ResNet-20 (option A)")
    'resnet-20-option-a'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]
