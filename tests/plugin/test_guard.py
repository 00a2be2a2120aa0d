"""Foreign code may do what it likes; what everybody shares is as it was before."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from initbench.errors import PluginError
from initbench.plugin.guard import contained, shared_generators


def test_a_call_that_behaves_leaves_no_trace() -> None:
    outcome = contained(lambda: 42)
    assert (outcome.value, outcome.error, outcome.printed, outcome.changes) == (42, None, "", ())
    assert outcome.result("nobody") == 42
    assert list(outcome.remarks()) == []


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), GeneratorExit()])
def test_every_exception_is_contained(error: BaseException) -> None:
    def fail() -> None:
        raise error

    outcome = contained(fail)
    assert outcome.error is error
    with pytest.raises(PluginError, match=f"^x of y 1.0 raised {type(error).__name__}") as raised:
        outcome.result("x of y 1.0", "upgrade it")
    assert str(raised.value).endswith("; upgrade it")
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError(), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_what_is_not_the_fault_of_foreign_code_passes_through(error: BaseException) -> None:
    def fail() -> None:
        os.environ["LEFT_BY_PLUGIN"] = "1"
        raise error

    with pytest.raises(type(error)):
        contained(fail)
    assert "LEFT_BY_PLUGIN" not in os.environ


def test_what_is_printed_is_kept_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    def talk() -> None:
        sys.stdout.write("hello\n")
        sys.stderr.write("world\n")

    outcome = contained(talk)
    assert outcome.printed == "hello\nworld\n"
    assert list(outcome.remarks()) == ["printed `hello` and more"]
    assert capsys.readouterr() == ("", "")


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object], str]] = {
    "folder": (os.getcwd, lambda: os.chdir("/"), "changed the working directory"),
    "variable added": (
        lambda: dict(os.environ),
        lambda: os.environ.update(LEFT_BY_PLUGIN="1"),
        "changed environment variables: LEFT_BY_PLUGIN",
    ),
    "variable removed": (
        lambda: dict(os.environ),
        lambda: os.environ.pop("HOME"),
        "changed environment variables: HOME",
    ),
    "import path": (
        lambda: list(sys.path),
        lambda: sys.path.insert(0, sys.path[-1]),
        "changed the order of `sys.path`",
    ),
    "warnings": (
        lambda: list(warnings.filters),
        lambda: warnings.simplefilter("ignore"),
        "changed the warning filters for everybody",
    ),
    "warnings reset": (
        lambda: list(warnings.filters),
        warnings.resetwarnings,
        "changed the warning filters for everybody",
    ),
    "signal": (
        lambda: signal.getsignal(signal.SIGTERM),
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        "changed signal handlers: Terminated",
    ),
    "log handler": (
        lambda: list(logging.getLogger().handlers),
        lambda: logging.getLogger().addHandler(logging.NullHandler()),
        "changed the root logger",
    ),
    "log level": (
        lambda: logging.getLogger().level,
        lambda: logging.getLogger().setLevel(1),
        "changed the root logger",
    ),
    "random": (
        random.getstate,
        lambda: random.seed(1),
        "changed the global random generator of Python",
    ),
    "numpy": (
        lambda: str(np.random.get_state()),
        lambda: np.random.seed(1),
        "changed the global random generator of NumPy",
    ),
    "torch": (
        lambda: torch.get_rng_state().tolist(),
        lambda: torch.rand(1),
        "changed the global random generator of torch",
    ),
    "dtype": (
        torch.get_default_dtype,
        lambda: torch.set_default_dtype(torch.float64),
        "changed torch's default dtype from torch.float32 to torch.float64",
    ),
    "device": (
        torch.get_default_device,
        lambda: torch.set_default_device("meta"),
        "changed torch's default device from cpu to meta",
    ),
    "gradients": (
        torch.is_grad_enabled,
        lambda: torch.set_grad_enabled(False),
        "changed torch's grad mode from True to False",
    ),
    "threads": (
        torch.get_num_threads,
        lambda: torch.set_num_threads(torch.get_num_threads() + 1),
        "changed torch's number of threads from ",
    ),
    "algorithms": (
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(True),
        "changed torch's use of deterministic algorithms from False to True",
    ),
    "cudnn": (
        lambda: torch.backends.cudnn.benchmark,
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        "changed torch's cuDNN benchmark mode from False to True",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_shared_state_is_put_back_and_the_change_reported(what: str) -> None:
    read, change, complaint = CHANGES[what]
    before = read()
    outcome = contained(change)
    assert read() == before
    (reported,) = outcome.changes
    assert reported.startswith(complaint)
    assert reported.endswith(", which was put back")


def test_a_folder_that_is_gone_is_reported_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.chdir(tmp_path / ".")
    (tmp_path / "own").mkdir()
    os.chdir(tmp_path / "own")
    (change,) = contained((tmp_path / "own").rmdir).changes
    assert "changed the working directory, which could not be put back" in change
    os.chdir(tmp_path)


def test_what_libraries_do_when_imported_is_no_offence() -> None:
    def like_a_library() -> None:
        sys.path.append("/appended/by/a/library")
        warnings.filterwarnings("ignore", message="size changed")
        warnings.filterwarnings("ignore", module="a_library")
        os.environ["KMP_INIT_AT_FORK"] = "FALSE"

    with warnings.catch_warnings():
        assert contained(like_a_library).changes == ()
        assert any(f[1] and f[1].pattern == "size changed" for f in warnings.filters)
    sys.path.remove("/appended/by/a/library")


def test_filters_for_one_library_outlive_the_removal_of_a_blanket_one() -> None:
    def change() -> None:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("ignore", message="kept")

    with warnings.catch_warnings():
        contained(change)
        assert warnings.filters[0][1].pattern == "kept"  # type: ignore[union-attr]
        with pytest.warns(UserWarning, match="still shown"):
            warnings.warn("still shown", stacklevel=1)


def test_a_thread_that_would_keep_the_process_alive_is_reported() -> None:
    stop = threading.Event()
    threads = [
        threading.Thread(target=stop.wait, name="lingerer", daemon=daemon) for daemon in (0, 1)
    ]
    outcome = contained(lambda: [thread.start() for thread in threads])
    stop.set()
    assert outcome.changes == ("left the thread `lingerer` running, which is no daemon",)


def test_containing_a_call_does_not_import_torch_and_still_sees_what_happens_to_it() -> None:
    code = """
import sys
from initbench.plugin.guard import contained
assert contained(lambda: 1).changes == ()
assert "torch" not in sys.modules and "numpy" not in sys.modules
def change():
    import torch
    torch.set_default_dtype(torch.float64)
print(contained(change).changes)
import torch
print(torch.get_default_dtype())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert "torch's default dtype from torch.float32 to torch.float64, which was put back" in first
    assert second == "torch.float32"


def draw() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(1))]


def test_shared_generators_depend_on_the_seed_alone_and_are_put_back() -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    undisturbed = [draw(), draw()]
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    first = draw()
    with shared_generators(5):
        a = draw()
    with shared_generators(5):
        b = draw()
    with shared_generators(2**63 - 1):
        c = draw()
    assert a == b
    assert all(x != y for x, y in zip(a, c, strict=True))
    assert [first, draw()] == undisturbed
