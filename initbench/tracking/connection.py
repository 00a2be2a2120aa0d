"""Reaching MLflow: soon or not at all, quietly, and without leaving a broken database behind."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from initbench.errors import InitbenchError
from initbench.store import atomic
from initbench.tracking.location import Location

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

EXPERIMENT = "initbench"
INSTALL = 'pip install "initbench[mlflow]"'

_LOGGERS = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_SQLITE_TIMEOUT_SECONDS = 2.0
_FOR_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow UIs that have no switch for it choose between pages for training and for language models
by this tag."""


class TrackingError(InitbenchError):
    """MLflow cannot be used; nothing of initbench's own is lost."""


@contextmanager
def settings() -> Iterator[None]:
    """Let MLflow fail soon, print nothing and report to nobody, for the duration of the block.

    It reads the environment at every call; what the user has set there stays.
    """
    ours = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    os.environ.update(ours)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def connect(where: Location) -> MlflowClient:
    """Return a client of the tracking store, whose schema is made if it is new.

    Raises TrackingError if it cannot be used, or whatever MLflow raises.
    """
    if where.database is not None:
        _check_sqlite(where.database)
    try:
        from mlflow.tracking import MlflowClient

        if where.artifacts is not None:
            _make_database(where)
        return MlflowClient(tracking_uri=where.uri)
    except ModuleNotFoundError as error:
        missing = (error.name or "mlflow").partition(".")[0]
        raise TrackingError(f"`{missing}` is not installed; `{INSTALL}` installs it") from error


def experiment_id(client: MlflowClient, where: Location) -> str:
    """Return the experiment of all suites, which is made if there is none.

    One that was deleted in MLflow is restored.
    """
    from mlflow.exceptions import MlflowException

    artifacts = where.artifacts.as_uri() if where.artifacts else None
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            made: str = client.create_experiment(EXPERIMENT, artifacts, _FOR_TRAINING)
            return made
        except MlflowException:
            found = client.get_experiment_by_name(EXPERIMENT)  # another machine was faster
            if found is None:
                raise
    _check_place(found, where)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    known: str = found.experiment_id
    return known


def problem(where: Location) -> str | None:
    """Return why MLflow cannot be used, None if it can; a database that is not there is fine."""
    try:
        with settings():
            if where.database is not None and not where.database.exists():
                _check_sqlite(where.database)
                return None
            found = connect(where).get_experiment_by_name(EXPERIMENT)
            if found is not None:
                _check_place(found, where)
    except Exception as error:
        return explain(error, where)
    return None


def explain(error: BaseException, where: Location) -> str:
    """Return why MLflow could not be used, in one line without credentials."""
    message = (
        str(error) if isinstance(error, InitbenchError) else f"{type(error).__name__}: {error}"
    )
    message = where.redact(message.replace("<database_uri>", str(where)))
    return message if len(message) <= 400 else f"{message[:400]}..."


def _check_place(experiment: Experiment, where: Location) -> None:
    if where.artifacts and not _is_folder(experiment.artifact_location, where.artifacts):
        raise TrackingError(
            f"the results folder has moved since `{where.database}` was made, and MLflow cannot "
            f"follow; delete it and `{where.artifacts}`: all of it is made anew from the records"
        )


def _check_sqlite(database: Path) -> None:
    """Find out at once what MLflow finds out after minutes of retries."""
    try:
        if database.exists():
            uri = f"{database.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=_SQLITE_TIMEOUT_SECONDS)) as file:
                file.execute("BEGIN IMMEDIATE")
                file.rollback()
            return
        folder = next(parent for parent in database.absolute().parents if parent.exists())
        if not os.access(folder, os.W_OK | os.X_OK):
            raise TrackingError(f"the folder `{folder}` is not writable")
    except sqlite3.Error as error:
        raise TrackingError(f"the database `{database}` cannot be written to: {error}") from error


def _make_database(where: Location) -> None:
    """Make the schema beside its place, then rename it.

    MLflow makes it in many steps and cannot repair one that was killed between two of them. The
    lock on the results folder sees to it that nobody else is at it.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    assert where.database is not None
    assert where.artifacts is not None
    if where.database.exists():
        return
    unfinished = where.database.with_name(f"{where.database.name}.new")
    for path in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
        atomic.remove(path)
    uri = f"sqlite:///{unfinished}"
    store = SqlAlchemyStore(uri, where.artifacts.as_uri())  # type: ignore[no-untyped-call]
    store.engine.dispose()
    atomic.move(unfinished, where.database)


def _is_folder(uri: str, folder: Path) -> bool:
    """Tell whether a URI names this folder, by whatever path; the folder need not exist yet."""
    named = Path(unquote(urlsplit(uri).path))
    try:
        return named.name == folder.name and named.parent.samefile(folder.parent)
    except OSError:
        return False
