"""Old results stay readable: one folder of golden files for every format there ever was.

If reading fails after a change, the change needs a new format version, a reader of the old one, and
a further folder here. The files of a published version are never edited.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from initbench.store.artifact import ARTIFACT_FORMAT
from initbench.store.identity import digest
from initbench.store.manifest import MANIFEST_FORMAT
from initbench.store.record import RECORD_FORMAT, TrialStatus
from initbench.store.store import Store

GOLDEN = Path(__file__).parent / "golden"


def test_there_is_a_folder_for_the_current_formats() -> None:
    assert {RECORD_FORMAT, ARTIFACT_FORMAT, MANIFEST_FORMAT} == {1}
    assert (GOLDEN / "v1").is_dir()


@pytest.mark.parametrize("folder", sorted(GOLDEN.iterdir()), ids=lambda folder: folder.name)
def test_golden_files_are_read_as_they_were_written(folder: Path) -> None:
    store = Store(folder)
    (key,) = store.keys()
    record = store.record(key)
    assert record is not None
    assert record.status is TrialStatus.DONE
    assert digest(record.identity) == key
    (path,) = (folder / "records").rglob("*.json")
    written = json.loads(path.read_text())["content"]
    read = record.model_dump(mode="json")
    assert read["cost"].pop("devices") == 1  # added later: what it was before
    assert read["cost"].pop("energy_joules") is None
    assert {name: read[name] for name in written} == written
    assert not any(read[name] for name in read.keys() - written.keys())  # added later, and empty
    (artifact_path,) = (folder / "artifacts").rglob("*.json")
    artifact = store.artifact(artifact_path.stem)
    assert artifact is not None
    assert artifact.description == {"classes": 10}
    (manifest,) = store.manifests()
    assert manifest.trials
