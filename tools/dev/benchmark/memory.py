"""Peak memory of a function, and its time.

On a GPU what PyTorch's allocator counts. On the CPU a process of its own
resets the kernel's mark of the most memory in use (VmHWM) and reads how far
it rises above the memory in use before (VmRSS). Its malloc hands freed memory
back at once, so that one case does not live on what another has left.

``python -m tools.dev.benchmark.memory MODULE:FUNCTION CALLS`` is that process.
"""

import ctypes
import gc
import json
import os
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch

from .timing import seconds_of

_STATUS = Path('/proc/self/status')
_RESET = Path('/proc/self/clear_refs')
#: glibc: blocks of more bytes are mapped, and go back to the system when
#: freed; so does the free end of the heap.
_MALLOC = {
    'MALLOC_MMAP_THRESHOLD_': '65536',
    'MALLOC_TRIM_THRESHOLD_': '65536',
}
_MARK = 'micacl-peaks:'


class Peak(NamedTuple):
    """What one call took."""

    #: Bytes beyond what was held before it.
    bytes: int
    #: The median, if there were several calls.
    seconds: float


def can_reset() -> bool:
    """Whether the kernel lets a process reset its own VmHWM."""
    try:
        _RESET.write_text('5')
    except OSError:
        return False
    return bool(re.search('^VmHWM', _STATUS.read_text(), re.MULTILINE))


def method(device: str = 'cpu') -> str:
    """Say in words how peaks are measured here."""
    if torch.device(device).type == 'cuda':
        return 'torch.cuda.max_memory_allocated'
    if can_reset():
        return 'VmHWM, reset before, minus VmRSS before'
    return 'ru_maxrss minus that before: only what exceeds an earlier peak'


def peak_of(
    function: Callable[[], object], device: str = 'cpu', calls: int = 1
) -> Peak:
    """Bytes that a call takes beyond what is held before, at its peak.

    On the CPU it is right only in a process that :func:`peaks` started.
    """
    gc.collect()
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        seconds = _seconds(function, calls, device)
        return Peak(torch.cuda.max_memory_allocated(device) - before, seconds)
    _trim()
    fresh = can_reset()
    before = _status('VmRSS') if fresh else _maxrss()
    seconds = _seconds(function, calls)
    after = _status('VmHWM') if fresh else _maxrss()
    return Peak(max(0, after - before), seconds)


def _seconds(
    function: Callable[[], object], calls: int, device: str = 'cpu'
) -> float:
    times = [seconds_of(function, device) for _ in range(calls)]
    return statistics.median(times)


def peaks(
    factory: str,
    cases: Sequence[Mapping],
    device: str = 'cpu',
    calls: int = 1,
) -> list[Peak]:
    """Measure the peak memory of cases, on the CPU in a fresh process.

    Args:
        factory (str): ``'module:function'``; called with the items of a case,
            it gets everything ready and returns what is to be measured.
        cases (Sequence[Mapping]): Plain values, as JSON has them.
        device (str): Defaults to ``'cpu'``.
        calls (int): Of each case. Defaults to 1.

    Returns:
        list[Peak]: one for each case.

    Raises:
        RuntimeError: The process failed; its last words follow.
    """
    if torch.device(device).type == 'cuda':
        return _run_cases(factory, cases, device, calls)
    if not can_reset():  # a mark that only rises serves one case
        return [_start(factory, [case], calls)[0] for case in cases]
    return _start(factory, cases, calls)


def _start(factory: str, cases: Sequence[Mapping], calls: int) -> list[Peak]:
    if not cases:
        return []
    done = subprocess.run(
        [sys.executable, '-m', __name__, factory, str(calls)],
        input=json.dumps(list(cases)),
        env={**os.environ, **_MALLOC},
        capture_output=True,
        text=True,
    )
    found = re.search(f'^{_MARK}(.*)$', done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise RuntimeError(
            f'the process that measures the memory of {factory} failed: '
            f'{done.stderr.strip()[-2000:]}'
        )
    return [Peak(*values) for values in json.loads(found[1])]


def _run_cases(
    factory: str, cases: Sequence[Mapping], device: str, calls: int
) -> list[Peak]:
    module, _, name = factory.partition(':')
    make = getattr(import_module(module), name)
    found = []
    for case in cases:
        function = make(**case)
        found.append(peak_of(function, device, calls))
        del function
    return found


def _status(name: str) -> int:
    text = _STATUS.read_text()
    found = re.search(rf'^{name}:\s*(\d+) kB', text, re.MULTILINE)
    return 1024 * int(found[1])


def _maxrss() -> int:
    unit = 1 if sys.platform == 'darwin' else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _trim() -> None:
    """Hand the holes in the heap back, where the C library is glibc."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


def main() -> None:
    """Measure the cases on standard input."""
    cases = json.load(sys.stdin)
    factory, calls = sys.argv[1:]
    found = _run_cases(factory, cases, 'cpu', int(calls))
    print(_MARK + json.dumps(found))


if __name__ == '__main__':
    main()
