"""A checkpoint is whole or absent, belongs to one trial, and goes when its trial is over."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from initbench.errors import CorruptRecordError, StoreError, UserError
from initbench.store import atomic
from initbench.store.checkpoint import KEPT_DAYS, CheckpointFile
from initbench.store.record import TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from tests.factories import record
from tests.store.worlds import HE, LECUN, WEIGHTS, contents, damage, die, in_child, put, sealed

TENSORS = {
    "network.weight": torch.arange(6.0).reshape(2, 3).t(),  # not contiguous
    "network.count": torch.tensor(3),
    "generators.cpu": torch.arange(9, dtype=torch.uint8),
    "none": torch.zeros(0),
    "half": torch.full((2,), 0.1, dtype=torch.bfloat16),
    "lost": torch.tensor([torch.nan, torch.inf]),
}


def _write(store: Store, key: str = HE.key, step: int = 1) -> CheckpointFile:
    file = store.checkpoint(key)
    file.write({"step": step}, TENSORS)
    return file


def _step(file: CheckpointFile) -> int | None:
    found = file.read()
    return found and found[0]["step"]


def test_what_was_written_is_read(store: Store) -> None:
    file = store.checkpoint(HE.key)
    assert file.read() is None
    file.write({"step": 7, "notes": ["é"], "loss": (0.1).hex()}, TENSORS)
    description, tensors = file.read() or ({}, {})
    assert description == {"step": 7, "notes": ["é"], "loss": (0.1).hex()}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        torch.testing.assert_close(tensors[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_tensors_that_share_memory_are_kept_apart(store: Store) -> None:
    stack = torch.arange(6.0).reshape(3, 2)
    file = store.checkpoint(HE.key)
    file.write({}, {"all": stack, "first": stack[0], "last": stack[2]})
    _, tensors = file.read() or ({}, {})
    assert tensors["last"].tolist() == [4, 5]
    tensors["first"].zero_()
    assert torch.equal(tensors["all"], stack)


def test_there_is_one_a_trial_and_the_last_counts(store: Store) -> None:
    for step in range(3):
        _write(store, HE.key, step)
        _write(store, LECUN.key, 10 * step)
    assert _step(store.checkpoint(HE.key)) == 2
    assert _step(store.checkpoint(LECUN.key)) == 20
    assert len(contents(store.paths.root)) == 2


def test_it_is_killed_at_any_moment_and_whole_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _write(store, step=1)
    points: list[str] = []
    with monkeypatch.context() as counting:
        counting.setattr(atomic, "commit_point", points.append)
        file.write({"step": 1}, TENSORS)
    assert len(points) == 6
    seen = []
    for number in range(len(points)):
        passed = iter(range(number))

        def count(_: str, passed: object = passed) -> None:
            if next(passed, None) is None:  # type: ignore[call-overload]
                die()

        with monkeypatch.context() as killing:
            killing.setattr(atomic, "commit_point", count)
            assert in_child(lambda: file.write({"step": 2}, TENSORS)) == -signal.SIGKILL
        seen.append(_step(file))
        with store.lock("test"):
            pass
        assert len(list(store.paths.checkpoints.iterdir())) == 1, "half a file was left"
        file.write({"step": 1}, TENSORS)
    assert seen == [1, 1, 1, 1, 2, 2]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_that_was_damaged_is_refused(store: Store, data: st.DataObject) -> None:
    file = _write(store)
    path = store.paths.checkpoint(HE.key)
    if data.draw(st.booleans()):
        damage(path, data.draw(st.integers(0, path.stat().st_size - 1)))
    else:
        path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size - 1))])
    with pytest.raises(CorruptRecordError, match="is corrupt"):
        file.read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\x80\x04K\x01.",
        b"\0" * 3000,
        sealed(b'{"format":1}'),
        sealed(b'{"blob":{"bytes":0,"digest":"' + b"0" * 64 + b'"},"description":{},"format":1,'
               b'"key":"' + HE.key.encode() + b'"}'),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(store: Store, content: bytes) -> None:
    put(store.paths.checkpoint(HE.key), content)
    with pytest.raises(CorruptRecordError, match="is corrupt"):
        store.checkpoint(HE.key).read()


def test_one_of_another_trial_is_refused(store: Store) -> None:
    _write(store, LECUN.key)
    store.paths.checkpoint(LECUN.key).rename(store.paths.checkpoint(HE.key))
    with pytest.raises(CorruptRecordError, match=f"it holds `{LECUN.key}`"):
        store.checkpoint(HE.key).read()


def test_one_of_another_format_is_refused(store: Store) -> None:
    put(store.paths.checkpoint(HE.key), sealed(b'{"format":0,"key":"x"}') + b"anything")
    with pytest.raises(UserError, match="has format 0"):
        store.checkpoint(HE.key).read()


def test_what_cannot_be_written_leaves_the_one_before(store: Store) -> None:
    file = _write(store)
    with pytest.raises(StoreError, match="cannot be stored"):
        file.write({"loss": float("nan")}, TENSORS)
    assert _step(file) == 1
    folder = store.paths.checkpoints
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("in the way")
    with pytest.raises(StoreError):
        file.write({"step": 2}, TENSORS)
    with pytest.raises(StoreError):
        file.read()


def test_only_keys_have_one(store: Store) -> None:
    with pytest.raises(StoreError, match="is no key"):
        store.checkpoint("../../etc/passwd")


# --- its end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", TrialStatus)
def test_it_goes_with_the_commit_unless_the_trial_is_lost(
    store: Store, writer: StoreWriter, status: TrialStatus
) -> None:
    file, other = _write(store, HE.key), _write(store, LECUN.key)
    writer.commit(record(initialiser="he", status=status))
    assert (file.read() is not None) == (status is TrialStatus.LOST)
    assert _step(other) == 1


def test_it_stays_until_the_outcome_is_adopted(
    store: Store, writer: StoreWriter, spool: Spool
) -> None:
    file = _write(store)
    spooled = spool.put_record(HE, WEIGHTS)
    assert _step(file) == 1
    writer.adopt(spooled)
    assert file.read() is None


def test_a_damaged_outcome_takes_no_checkpoint_with_it(
    store: Store, writer: StoreWriter, spool: Spool
) -> None:
    file = _write(store)
    spooled = spool.put_record(HE, WEIGHTS)
    damage(spooled)
    with pytest.raises(CorruptRecordError):
        writer.adopt(spooled)
    assert _step(file) == 1


def test_releasing_a_trial_keeps_it_and_deleting_one_does_not(
    store: Store, writer: StoreWriter
) -> None:
    file = _write(store)
    writer.claim(HE.key, 1)
    writer.release(HE.key)
    assert _step(file) == 1
    writer.delete(HE.key)
    assert file.read() is None


def test_what_an_orphaned_worker_left_is_cleared_away(store: Store) -> None:
    with store.lock("test") as writer:
        writer.commit(HE, WEIGHTS)
        writer.commit(record(initialiser="lecun", status=TrialStatus.LOST))
    finished, lost = _write(store, HE.key), _write(store, LECUN.key)
    put(store.paths.checkpoints / "notes.checkpoint", b"not ours")
    with store.lock("test"):
        pass
    assert finished.read() is None
    assert _step(lost) == 1
    assert (store.paths.checkpoints / "notes.checkpoint").exists()


def test_one_that_nobody_came_back_to_is_cleared_away(store: Store) -> None:
    old, young = _write(store, HE.key), _write(store, LECUN.key)
    for key, days in ((HE.key, KEPT_DAYS + 1), (LECUN.key, KEPT_DAYS - 1)):
        moment = time.time() - days * 86_400
        os.utime(store.paths.checkpoint(key), (moment, moment))
    with store.lock("test"):
        pass
    assert old.read() is None
    assert _step(young) == 1


def test_readers_neither_make_nor_remove_anything(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    assert store.checkpoint(HE.key).read() is None
    assert not store.paths.root.exists()
