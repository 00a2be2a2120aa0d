"""Where MLflow runs go: what the user set, or SQLite inside the results folder.

A tracking URI may hold a password or a token. So the URI itself is handed to MLflow and to nobody
else; whatever is shown or stored is the redacted form.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from initbench.errors import UserError
from initbench.store.paths import StorePaths

VARIABLE = "MLFLOW_TRACKING_URI"
_FILE_STORE_ALLOWED = "MLFLOW_ALLOW_FILE_STORE"
_NAMES_WITHOUT_SCHEME = ("databricks", "databricks-uc", "uc")
_SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_THEN = "then choose `Model training` and the experiment `initbench`"
_USER_INFORMATION = re.compile(r"(?<=://)[^/\s'\"]*@")


@dataclass(frozen=True)
class Location:
    """A tracking store; its text form holds no credentials."""

    uri: str = field(repr=False)
    database: Path | None = None
    """The file of a SQLite store."""
    artifacts: Path | None = None
    """Where artifacts go, if the store is the one inside the results folder."""

    def __str__(self) -> str:
        return _without_credentials(self.uri)

    @property
    def how_to_open(self) -> str:
        """What to do in order to see the runs."""
        if self.uri.startswith(("http://", "https://")):
            return f"open {self}, {_THEN}"
        return f"`mlflow ui --backend-store-uri {shlex.quote(str(self))}`, {_THEN}"

    def redact(self, text: str) -> str:
        """Return `text` without the credentials of this location, on one line."""
        text = text.replace(self.uri, str(self))
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return " ".join(_USER_INFORMATION.sub("***@", text).split())

    def _secrets(self) -> list[str]:
        found = [os.environ.get(name, "") for name in _SECRET_VARIABLES]
        try:
            parts = urlsplit(self.uri)
            password = parts.password or ""
        except ValueError:
            return [secret for secret in found if secret]
        query = [value.partition("=")[2] for value in parts.query.split("&")]
        found += [password, unquote(password), parts.query, *query]
        return [secret for secret in found if len(secret) > 2]


def location(results: Path, uri: str | None = None) -> Location:
    """Return where the runs of a results folder go: `uri`, MLFLOW_TRACKING_URI, or SQLite in it.

    Raises UserError for a store that MLflow refuses: a plain folder, or SQLite in a folder whose
    name a database URI cannot hold.
    """
    chosen = uri or os.environ.get(VARIABLE)
    if not chosen:
        return _inside(StorePaths(results.absolute()))
    if _is_folder(chosen) and os.environ.get(_FILE_STORE_ALLOWED, "").lower() not in ("true", "1"):
        folder = chosen.removeprefix("file://").removeprefix("file:") or "."
        raise UserError(
            f"the tracking URI `{_without_credentials(chosen)}` names a plain folder, which MLflow "
            "no longer writes to; move its runs into SQLite with `mlflow migrate-filestore "
            f"--source {shlex.quote(folder)} --target sqlite:///mlflow.db` and set "
            f"{VARIABLE}=sqlite:///mlflow.db, or unset {VARIABLE}: runs then go to "
            f"`{StorePaths(results).mlflow_database}`"
        )
    return Location(chosen, database=_sqlite_file(chosen))


def _inside(paths: StorePaths) -> Location:
    database = paths.mlflow_database
    if any(sign in str(database) for sign in "%?"):
        raise UserError(
            f"the results folder `{paths.root}` has `%` or `?` in its path, which a database URI "
            f"cannot hold; choose another folder, or set {VARIABLE}"
        )
    return Location(f"sqlite:///{database}", database=database, artifacts=paths.mlflow_artifacts)


def _is_folder(uri: str) -> bool:
    scheme = uri.partition(":")[0] if ":" in uri else ""
    return scheme in ("", "file") and uri not in _NAMES_WITHOUT_SCHEME


def _sqlite_file(uri: str) -> Path | None:
    if not uri.startswith("sqlite:///") or "?" in uri or uri.endswith("/:memory:"):
        return None
    return Path(uri.removeprefix("sqlite:///"))


def _without_credentials(uri: str) -> str:
    if uri.startswith("sqlite:"):
        return uri
    address = re.split(r"[?#]", uri, maxsplit=1)[0]
    return _USER_INFORMATION.sub("", address)
