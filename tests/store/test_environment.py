"""Records describe the machine without giving anything private away."""

from __future__ import annotations

import json
import os
import site
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from initbench.store import environment as module
from initbench.store.environment import environment, scrub
from initbench.store.identity import canonical


@pytest.fixture
def ada(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with a user and a host whose names can be recognised."""
    monkeypatch.setenv("HOME", "/home/adalovelace")
    monkeypatch.setenv("LOGNAME", "adalovelace")
    monkeypatch.setattr(socket, "gethostname", lambda: "analytical-engine")
    module._private_words.cache_clear()
    yield
    module._private_words.cache_clear()


def test_the_description_is_an_allow_list(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    found = environment()
    assert set(found) == {
        *("initbench", "python", "torch", "torchvision", "numpy", "cuda", "cudnn", "device"),
        *("system", "machine", "cpu", "cpu_count", "threads", "variables"),
    }
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["variables"]["OMP_NUM_THREADS"] == "1"
    assert "MKL_NUM_THREADS" not in found["variables"]
    text = json.dumps(found)
    for private in ("hunter2", "adalovelace", "analytical-engine", os.getcwd()):
        assert private not in text
    canonical(found)  # plain strict JSON


def test_a_process_that_used_no_device_names_none() -> None:
    if torch.cuda.is_initialized():
        pytest.skip("this process has used a device")
    assert environment()["device"] is None


@pytest.mark.gpu
def test_a_process_that_used_a_device_names_it() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.zeros(1, device="cuda")
    assert environment()["device"] == torch.cuda.get_device_name()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot read /home/adalovelace/zoo/a.pt", "cannot read ~/zoo/a.pt"),
        ("/home/adalovelace", "~"),
        ("/home/adalovelaces/x", "<path>/x"),
        ("user adalovelace on analytical-engine:29500", "user <user> on <host>:29500"),
        ("adalovelace_2 is another word", "adalovelace_2 is another word"),
        ("/scratch/project 7/x", "<path>/project 7/x"),
        ("at '/mnt/disk/data.npz' and /a/b/c.py:3", "at '<path>/data.npz' and <path>/c.py:3"),
        ("--out=/a/b PATH=/a/b:/c/d", "--out=<path>/b PATH=<path>/b:<path>/d"),
        ("see https://pytorch.org/docs/x.html", "see https://pytorch.org/docs/x.html"),
        ("2/3/4 of them, 1.5 / 2, and/or", "2/3/4 of them, 1.5 / 2, and/or"),
        ("loss is NaN \ud800", "loss is NaN ?"),
        ("数 é ✓", "数 é ✓"),
    ],
)
def test_private_parts_are_replaced_and_the_rest_stays(ada: None, text: str, expected: str) -> None:
    assert scrub(text) == expected
    assert scrub(expected) == expected


def test_folders_of_python_and_of_the_project_get_names(in_tmp_path: Path) -> None:
    packages = site.getsitepackages()[0]
    text = f'File "{packages}/torch/nn.py", "{in_tmp_path}/plugin/warm.py", "{os.__file__}"'
    assert scrub(text) == 'File "<site-packages>/torch/nn.py", "./plugin/warm.py", "<python>/os.py"'


def test_a_traceback_of_a_plugin_elsewhere_keeps_only_file_names(tmp_path: Path) -> None:
    plugin = tmp_path / "my secret project" / "plugin.py"
    code = compile("def initialise():\n    1 / 0\ninitialise()\n", str(plugin), "exec")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(code, {})
    text = scrub("".join(traceback.format_exception(caught.value)))
    assert 'File "<path>/plugin.py", line 2, in initialise' in text
    assert "secret" not in text
    assert str(tmp_path) not in text


def test_a_working_folder_that_is_gone_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert scrub("message") == "message"


@given(
    st.text(st.characters(codec=None), max_size=60) | st.from_regex(r"(/\w{1,4}|\.|~|<|\s){0,9}")
)
def test_scrubbed_text_can_be_stored_and_scrubbing_again_changes_nothing(text: str) -> None:
    once = scrub(text)
    canonical({"message": once})
    assert scrub(once) == once
