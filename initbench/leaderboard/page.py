"""The leaderboard page: a pure function of results.

One self-contained file that loads nothing: style and script are inside it and allowed by their
hashes, and its content security policy forbids every other source. The same results give the same
bytes. Raw values are embedded as JSON, so readers can compute every statement again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from initbench import __version__
from initbench.leaderboard import svg
from initbench.leaderboard.text import visible
from initbench.leaderboard.view import views_of
from initbench.results import SuiteResults


def build_page(
    results: Sequence[SuiteResults],
    *,
    title: str = "Which way of initialising a network really works?",
    generated_from: str = "",
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the page as one HTML document.

    Args:
        results: the suites, in the order in which they are shown.
        title: heading of the page.
        generated_from: a line that says where the results come from.
        left_out: suites that are not shown, each with the reason.
    """
    style = _file("page.css") + svg.style_sheet()
    script = _file("page.js")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    return _template().render(
        title=title,
        generated_from=generated_from,
        version=__version__,
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        data=Markup(
            embedded_json({"initbench": __version__, "suites": list(map(asdict, results))})
        ),
        suites=views_of(results),
        left_out=left_out,
    )


def embedded_json(tree: Any) -> str:
    """Return `tree` as JSON that may stand inside a script element.

    Nothing in it can end the element, since `<`, `>` and `&` are written as escapes. JSON has no
    numbers for infinity and not-a-number, so these become the strings that JavaScript's `Number`
    reads: `Infinity`, `-Infinity`, `NaN`.
    """
    text = json.dumps(_finite(tree), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(name): _finite(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return "NaN" if math.isnan(tree) else "Infinity" if tree > 0 else "-Infinity"
    return tree


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["breakable"] = _breakable
    return environment.from_string(_file("template.html"))


def _shown(value: Any) -> Any:
    """Make hidden characters visible in everything but our own markup."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    """Allow a line break after signs within a name, so that long ones fit into narrow columns."""
    return Markup("<wbr>").join(re.split(r"(?<=[_(=,/.])", visible(name)))


def _file(name: str) -> str:
    return (resources.files("initbench.leaderboard") / "static" / name).read_text("utf-8")


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
