"""Keep two commands from working in one folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional


class RunError(Exception):
    """A run did not come to its end; the message says why."""

    #: Whether the end of its log says more.
    see_log = False

    @classmethod
    def of_tool(cls, tool: str, code: int) -> 'RunError':
        """A tool has ended with an exit code other than 0."""
        error = cls(f'{tool} ended with exit code {code}')
        error.see_log = True
        return error


@contextmanager
def claimed(folder: Path) -> Iterator[Optional[int]]:
    """Keep others out of a folder while this and its tools live.

    Yields:
        int | None: a descriptor for the tools to inherit: the lock holds
        until the last of them is gone, however this process ends. None
        where files cannot be locked.

    Raises:
        RunError: Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield None
        return
    lock = os.open(folder / '.lock', os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f'another process works in {folder}; wait for it, or end it'
            ) from None
        except OSError:
            pass  # a file system without locks
        yield lock
    finally:
        os.close(lock)
