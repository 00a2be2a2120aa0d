"""Damage is named, set aside and made good; nothing that was committed is lost."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.errors import CorruptRecordError, StoreError, UserError
from initbench.store.identity import canonical
from initbench.store.record import Blob
from initbench.store.store import Store, StoreWriter
from tests.factories import manifest
from tests.store.worlds import (
    HE,
    LECUN,
    WEIGHTS,
    contents,
    damage,
    put,
    sealed,
)


def test_a_corrupt_record_is_named_to_readers_and_set_aside_by_the_writer(store: Store) -> None:
    with store.lock("run") as writer:
        kept = writer.commit(HE, WEIGHTS)
    path = store.paths.record(HE.key)
    damage(path, where=300)
    damaged = path.read_bytes()
    reason = "is corrupt: its content does not fit its checksum"
    with pytest.raises(CorruptRecordError) as caught:
        store.record(HE.key)
    healing = "the next `initbench run` of its suite sets it aside and makes it again"
    assert str(caught.value) == f"`{path}` {reason}; {healing}"
    with store.lock("run") as writer:
        assert writer.status(HE.key) is None
        name = f"records/{HE.key[:2]}/{HE.key}.json"
        aside = f"quarantine/records-{HE.key[:2]}-{HE.key}.json.1"
        assert writer.warnings == [f"`{name}` {reason}; moved to `{aside}`"]
        assert contents(store.paths.root)[aside] == damaged
        note = contents(store.paths.root)[f"{aside}.reason"].decode()
        assert note == f'{{\n "file": "{name}",\n "reason": "`{name}` {reason}"\n}}\n'
        assert writer.commit(HE, WEIGHTS) == kept
        damage(path)
        assert writer.record(HE.key) is None
        assert f"{aside[:-1]}2" in contents(store.paths.root)


def test_corrupt_weights_are_named_set_aside_and_made_again(store: Store) -> None:
    with store.lock("run") as writer:
        kept = writer.commit(HE, WEIGHTS)
    assert kept.weights is not None
    path = store.blob_path(kept.weights)
    damage(path)
    with pytest.raises(CorruptRecordError, match="its content does not fit its digest"):
        store.weights(kept, "best")
    with store.lock("run") as writer:
        with pytest.raises(CorruptRecordError):
            writer.weights(kept, "best")
        assert not path.exists()
        assert "quarantine/blobs-" in writer.warnings[0]
        assert writer.commit(HE, WEIGHTS) == kept
        assert writer.weights(kept, "best")


@given(data=st.data())
def test_any_damage_to_weights_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = Store(tmp_path_factory.mktemp("results"))
    with store.lock("run") as writer:
        kept = writer.commit(HE, WEIGHTS)
    assert kept.weights is not None
    path = store.blob_path(kept.weights)
    whole = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole = whole[:where]
    else:
        whole[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(whole))
    with pytest.raises(CorruptRecordError, match="is corrupt"):
        store.weights(kept, "best")


def test_a_blob_with_a_right_digest_that_holds_no_tensors_is_corrupt(store: Store) -> None:
    for data in (b"", b"\xff" * 200, (10**12).to_bytes(8, "little") + b"{}"):
        blob = Blob(digest=hashlib.sha256(data).hexdigest(), bytes=len(data))
        put(store.blob_path(blob), data)
        with pytest.raises(CorruptRecordError, match="is corrupt"):
            store.weights(HE.model_copy(update={"weights": blob}), "best")


def test_a_blob_that_is_a_device_is_not_read_for_ever(store: Store) -> None:
    blob = Blob(digest="0" * 64, bytes=0)
    store.blob_path(blob).parent.mkdir(parents=True)
    store.blob_path(blob).symlink_to("/dev/zero")
    with pytest.raises(CorruptRecordError, match="is corrupt"):
        store.weights(HE.model_copy(update={"weights": blob}), "best")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": LECUN.key}, "it holds"),
        ({"identity": LECUN.identity}, "not the digest of its identity"),
        ({"weights": {"digest": "../" * 10 + "etc/passwd", "bytes": 1}}, "names no tensors"),
    ],
    ids=["another key", "another identity", "a path as digest"],
)
def test_a_wellformed_file_with_false_claims_is_corrupt(
    store: Store, changes: dict[str, Any], reason: str
) -> None:
    content = canonical({**HE.model_dump(), **changes})
    put(store.paths.record(HE.key), sealed(content))
    with pytest.raises(CorruptRecordError, match=reason):
        store.record(HE.key)
    with store.lock("run") as writer:
        assert writer.record(HE.key) is None


def test_a_record_of_a_newer_version_is_refused_and_left_where_it_is(store: Store) -> None:
    path = put(store.paths.record(HE.key), sealed(canonical({"format": 2})))
    with store.lock("run") as writer, pytest.raises(UserError, match="has format 2"):
        writer.record(HE.key)
    assert path.exists()


def test_a_corrupt_manifest_does_not_stop_the_next_run(store: Store) -> None:
    put(store.paths.manifest(manifest().id), b"damaged")
    with pytest.raises(CorruptRecordError, match="suites/"):
        store.manifests()
    with store.lock("run") as writer:
        assert writer.manifests() == []
        writer.write_manifest(manifest())
        assert writer.manifests() == [manifest()]


def test_a_full_disk_loses_nothing_that_was_committed(
    store: Store, writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = writer.commit(HE, WEIGHTS)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="no space left"):
        writer.commit(LECUN, WEIGHTS)
    monkeypatch.undo()
    assert store.records(store.keys()) == {HE.key: kept}
    assert writer.commit(LECUN, WEIGHTS).key == LECUN.key


def test_ctrl_c_at_any_system_call_loses_nothing_that_was_committed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.lock("run") as writer:
        kept = writer.commit(HE, WEIGHTS)
    replace = os.replace
    for stop_at in range(4):  # tensors, outcome, tensors moved, outcome moved
        left = iter(range(stop_at))

        def interrupted(*arguments: Any, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            replace(*arguments)

        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt), store.lock("run") as writer:
            writer.commit(LECUN, WEIGHTS)
        monkeypatch.undo()
        assert store.records(store.keys()) == {HE.key: kept}
    with store.lock("run") as writer:
        assert [outcome.key for outcome in writer.adopt_leftovers()] == [LECUN.key] * 2
