from __future__ import annotations

from pathlib import Path

import pytest

from initbench.errors import UserError
from initbench.tracking.location import VARIABLE, location


def test_runs_go_to_sqlite_inside_the_results_folder(in_tmp_path: Path) -> None:
    where = location(Path("results"))
    assert where.uri == f"sqlite:///{in_tmp_path}/results/mlflow.db"
    assert where.database == in_tmp_path / "results" / "mlflow.db"
    assert where.artifacts == in_tmp_path / "results" / "mlflow-artifacts"
    assert "mlflow ui --backend-store-uri" in where.how_to_open
    assert not (in_tmp_path / "results").exists()


def test_the_users_tracking_uri_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:5000")
    where = location(Path("results"))
    assert (where.uri, where.database, where.artifacts) == ("http://127.0.0.1:5000", None, None)
    assert where.how_to_open.startswith("open http://127.0.0.1:5000")


def test_an_option_comes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:5000")
    assert location(Path("results"), "sqlite:////data/own.db").uri == "sqlite:////data/own.db"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert location(tmp_path).database == tmp_path / "mlflow.db"


@pytest.mark.parametrize("uri", ["file:///home/me/mlruns", "mlruns", "/home/me/mlruns", "./mlruns"])
def test_a_plain_folder_is_refused_with_the_way_out(uri: str) -> None:
    with pytest.raises(UserError) as error:
        location(Path("results"), uri)
    message = str(error.value)
    assert f"`{uri}`" in message
    assert f"mlflow migrate-filestore --source {uri.removeprefix('file://')} " in message
    assert "unset MLFLOW_TRACKING_URI" in message


def test_a_plain_folder_that_the_user_allowed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert location(Path("results"), "mlruns").uri == "mlruns"


def test_databricks_is_no_folder() -> None:
    assert location(Path("results"), "databricks").uri == "databricks"


@pytest.mark.parametrize("name", ["a%20b", "what?"])
def test_a_folder_that_no_database_uri_can_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="choose another folder"):
        location(tmp_path / name)


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("http://me:s3cret@host:5000/x", "http://host:5000/x"),
        ("https://s3cret@host/x?token=s3cret#s3cret", "https://host/x"),
        ("postgresql+psycopg2://me:s3cr@et@host/db", "postgresql+psycopg2://host/db"),
        ("mysql://host/db?password=s3cret", "mysql://host/db"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("http://me:s3cret@[bad/x", "http://[bad/x"),
    ],
)
def test_no_credentials_are_shown(uri: str, public: str) -> None:
    where = location(Path("results"), uri)
    assert str(where) == public
    assert "s3cr" not in where.how_to_open + repr(where)


def test_messages_lose_every_form_of_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    where = location(Path("results"), "http://me:pass%40word@host/x?key=k3y")
    said = where.redact(
        "API request to http://me:pass%40word@host/x?key=k3y failed;\n"
        "password pass@word, key=k3y, http://other:pw@host2, Bearer t0ken"
    )
    for secret in ("pass%40word", "pass@word", "k3y", "t0ken", "pw", "\n"):
        assert secret not in said
    assert "http://host/x failed" in said
