"""Contained calls: foreign code may raise, exit, print, change global state, and harm nobody.

What a contained call changed in the state that the whole process shares is put back and reported.
Out of reach, and so not promised: a plugin that ends the process from C, or never returns.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from initbench.errors import PluginError

T = TypeVar("T")

_SET_BY_LIBRARIES = ("KMP_", "TORCHINDUCTOR_")
"""Environment variables that scikit-learn and torch set for themselves when they are imported."""


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of a contained call: a value or an error, and what it did to the process."""

    value: T | None
    error: BaseException | None
    printed: str
    changes: tuple[str, ...]

    def result(self, who: str, advice: str = "") -> T:
        """Return the value; if there is none, raise PluginError: who raised what, and `advice`."""
        if self.error is not None:
            kind = type(self.error).__name__
            text = f": {self.error}" if str(self.error) else ""
            end = f"; {advice}" if advice else ""
            raise PluginError(f"{who} raised {kind}{text}{end}") from self.error
        return cast("T", self.value)

    def remarks(self) -> Iterator[str]:
        """Yield what the call should not have done, as clauses that begin with a verb."""
        if text := self.printed.strip():
            first, *more = text.splitlines()
            yield f"printed `{first[:100]}`" + (" and more" if more else "")
        yield from self.changes


def contained(function: Callable[[], T]) -> Outcome[T]:
    """Call `function`, let nothing it does harm the rest of the process, and say what it did.

    Standard output and error are captured. Every exception becomes the outcome's `error`, also
    SystemExit; only KeyboardInterrupt and running out of memory, which are not the fault of
    foreign code, pass through.
    """
    value: T | None = None
    error: BaseException | None = None
    printed = io.StringIO()
    before = _Snapshot()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            value = function()
    except BaseException as raised:
        if isinstance(raised, KeyboardInterrupt) or _is_out_of_memory(raised):
            raise
        error = raised
    finally:
        changes = before.restore()
    return Outcome(value, error, printed.getvalue(), tuple(changes))


@contextlib.contextmanager
def shared_generators(seed: int) -> Iterator[None]:
    """Seed the random generators that everybody shares, and put their state back at the end.

    >>> with shared_generators(seed=7):
    ...     first = random.random()
    >>> with shared_generators(seed=7):
    ...     first == random.random()
    True
    """
    before = [(aspect, aspect.read()) for aspect in _generators()]
    random.seed(seed)
    if numpy := _imported("numpy"):
        numpy.random.seed(seed % 2**32)
    if torch := _imported("torch"):
        torch.manual_seed(seed)
    try:
        yield
    finally:
        for aspect, state in before:
            aspect.write(state)


def _is_out_of_memory(error: BaseException) -> bool:
    torch = _imported("torch")
    return isinstance(error, MemoryError) or (
        torch is not None and isinstance(error, torch.OutOfMemoryError)
    )


# --- what is watched ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Aspect:
    """One piece of state that the whole process shares.

    `difference` tells how two readings differ, as a clause that begins with a verb ("" where they
    do not); `fresh` gives the reading right after the import of the library that owns the state.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    difference: Callable[[Any, Any], str]
    fresh: Callable[[], Any] | None = None


class _Snapshot:
    """The shared state at one moment."""

    def __init__(self) -> None:
        self._before = {aspect.name: aspect.read() for aspect in _aspects()}
        self._threads = set(threading.enumerate())

    def restore(self) -> list[str]:
        """Put everything back and return what had changed, as clauses that begin with a verb."""
        changes = []
        for aspect in _aspects():
            if aspect.name in self._before:
                before = self._before[aspect.name]
            elif aspect.fresh is not None:
                before = aspect.fresh()
            else:
                continue
            if change := aspect.difference(before, aspect.read()):
                changes.append(change + _write_back(aspect, before))
        for thread in set(threading.enumerate()) - self._threads:
            if not thread.daemon:
                changes.append(f"left the thread `{thread.name}` running, which is no daemon")
        return changes


def _write_back(aspect: _Aspect, before: Any) -> str:
    try:
        aspect.write(before)
    except Exception as error:
        return f", which could not be put back: {error}"
    return ", which was put back"


def _aspects() -> list[_Aspect]:
    return [*_PROCESS, *_generators(), *_torch_settings()]


def _changed(what: str) -> Callable[[Any, Any], str]:
    return lambda before, now: "" if before == now else f"changed {what}"


def _changed_to(what: str) -> Callable[[Any, Any], str]:
    return lambda before, now: "" if before == now else f"changed {what} from {before} to {now}"


# --- the process --------------------------------------------------------------------------------


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "(a folder that is gone)"


def _environment_difference(before: dict[str, str], now: dict[str, str]) -> str:
    names = sorted(
        name
        for name in {*before, *now}
        if before.get(name) != now.get(name) and not name.startswith(_SET_BY_LIBRARIES)
    )
    return f"changed environment variables: {', '.join(names)}" if names else ""


def _write_environment(before: dict[str, str]) -> None:
    for name in {*before, *os.environ}:
        if name.startswith(_SET_BY_LIBRARIES):
            continue
        if name not in before:
            del os.environ[name]
        elif os.environ.get(name) != before[name]:
            os.environ[name] = before[name]


def _path_difference(before: list[str], now: list[str]) -> str:
    # What is appended cannot hide a module that could be imported before.
    return "" if now[: len(before)] == before else "changed the order of `sys.path`"


def _write_path(before: list[str]) -> None:
    sys.path[:] = before + [folder for folder in sys.path if folder not in before]


def _filters_difference(before: list[Any], now: list[Any]) -> str:
    if list(filter(_is_blanket, before)) == list(filter(_is_blanket, now)):
        return ""
    return "changed the warning filters for everybody"


def _is_blanket(item: Any) -> bool:
    """Tell whether a filter concerns everybody: libraries add filters for their own warnings."""
    _, message, category, module, _ = item
    return message is None and module is None and category.__module__ == "builtins"


def _write_filters(before: list[Any]) -> None:
    added = [item for item in warnings.filters if item not in before and not _is_blanket(item)]
    warnings.filters[:] = added + before  # type: ignore[index]
    with warnings.catch_warnings():
        pass  # tells the module that its filters changed


def _signal_handlers() -> dict[int, Any]:
    return {int(number): signal.getsignal(number) for number in signal.valid_signals()}


def _signal_difference(before: dict[int, Any], now: dict[int, Any]) -> str:
    numbers = sorted(number for number in before if before[number] != now[number])
    names = ", ".join(signal.strsignal(number) or str(number) for number in numbers)
    return f"changed signal handlers: {names}" if names else ""


def _write_signal_handlers(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _root_logger() -> tuple[int, int, list[logging.Handler]]:
    root = logging.getLogger()
    return root.level, root.manager.disable, list(root.handlers)


def _write_root_logger(before: tuple[int, int, list[logging.Handler]]) -> None:
    root = logging.getLogger()
    level, root.manager.disable, handlers = before
    root.setLevel(level)
    root.handlers[:] = handlers


_PROCESS = [
    _Aspect("folder", _folder, os.chdir, _changed("the working directory")),
    _Aspect("environment", lambda: dict(os.environ), _write_environment, _environment_difference),
    _Aspect("sys.path", lambda: list(sys.path), _write_path, _path_difference),
    _Aspect("filters", lambda: list(warnings.filters), _write_filters, _filters_difference),
    _Aspect("signals", _signal_handlers, _write_signal_handlers, _signal_difference),
    _Aspect("logging", _root_logger, _write_root_logger, _changed("the root logger")),
]


# --- random generators --------------------------------------------------------------------------


_GENERATOR = "the global random generator of "


def _generators() -> list[_Aspect]:
    """Return the shared generators of the libraries that are loaded; `name` says how to find it."""
    found = [_Aspect("random", random.getstate, random.setstate, _changed(_GENERATOR + "Python"))]
    if numpy := _imported("numpy"):
        state = numpy.random.get_state, numpy.random.set_state
        found.append(_Aspect("numpy.random", *state, _numpy_difference))
    if torch := _imported("torch"):
        state = torch.get_rng_state, torch.set_rng_state
        found.append(_Aspect("torch", *state, _torch_difference))
        if torch.cuda.is_initialized():
            cuda = torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all
            found.append(_Aspect("torch.cuda", *cuda, _cuda_difference))
    return found


def _numpy_difference(before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    # The state is a tuple that holds an array.
    same = before[1].tolist() == now[1].tolist() and before[2:] == now[2:]
    return "" if same else f"changed {_GENERATOR}NumPy"


def _torch_difference(before: Any, now: Any) -> str:
    return "" if before.equal(now) else f"changed {_GENERATOR}torch"


def _cuda_difference(before: list[Any], now: list[Any]) -> str:
    same = all(a.equal(b) for a, b in zip(before, now, strict=True))
    return "" if same else f"changed {_GENERATOR}torch on a CUDA device"


# --- settings of torch --------------------------------------------------------------------------


def _torch_settings() -> list[_Aspect]:
    """Return the settings of torch that change what networks compute, if torch is loaded."""
    torch = _imported("torch")
    if torch is None:
        return []
    cudnn = torch.backends.cudnn

    def setting(
        what: str, read: Callable[[], Any], write: Callable[[Any], object], *fresh: Any
    ) -> _Aspect:
        default = (lambda: fresh[0]) if fresh else None
        return _Aspect(what, read, write, _changed_to(f"torch's {what}"), default)

    return [
        setting("default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        setting("default device", torch.get_default_device, _set_device, torch.device("cpu")),
        setting("grad mode", torch.is_grad_enabled, torch.set_grad_enabled, True),
        setting("number of threads", torch.get_num_threads, torch.set_num_threads),
        setting(
            "use of deterministic algorithms",
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
            False,
        ),
        setting(
            "cuDNN benchmark mode",
            lambda: cudnn.benchmark,
            partial(setattr, cudnn, "benchmark"),
            False,
        ),
    ]


def _set_device(device: Any) -> None:
    import torch

    # A default device that was never set must not be set: it would slow every call down.
    torch.set_default_device(None if device.type == "cpu" else device)


def _imported(name: str) -> Any | None:
    """Return a library if something has imported it: containing a call must not load torch."""
    return sys.modules.get(name)
