"""Start the stock tools, and end them together."""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from micacl_mm.records.machine import count_cores

from .options import Options

#: Seconds that a tool has to end by itself.
PATIENCE = 15


def tool_command(
    tool: str, arguments: Sequence[str], options: Options
) -> list[str]:
    """Return the command that runs a stock tool in this interpreter.

    Args:
        tool (str): ``'train'`` or ``'test'``.
        arguments (Sequence[str]): Its own.
        options (Options): With launcher and number of processes.

    Returns:
        list[str]: for a new process.
    """
    module = ['-m', 'micacl_mm', tool, *arguments]
    if options.launcher == 'none':
        return [sys.executable, *module]
    return [
        *(sys.executable, '-m', 'torch.distributed.run', '--standalone'),
        *('--nproc-per-node', str(options.processes), *module),
        *('--launcher', options.launcher),
    ]


class Processes:
    """The tools that run now, started from several threads.

    Args:
        jobs (int): How many run at a time; they share the cores.
    """

    def __init__(self, jobs: int) -> None:
        self._running: set[subprocess.Popen] = set()
        self._guard = threading.Lock()
        self._ended = False
        self._extra = {}
        if jobs > 1 and 'OMP_NUM_THREADS' not in os.environ:
            threads = max(1, count_cores() // (2 * jobs))
            self._extra['OMP_NUM_THREADS'] = str(threads)

    def run(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        lock: Optional[int],
    ) -> int:
        """Run a command to its end.

        Args:
            command (Sequence[str]): Program and arguments.
            log (Path): Gets all that it prints, after what is there.
            environment (Mapping[str, str]): Variables beside those of this
                process.
            lock (int, optional): Descriptor that it inherits.

        Returns:
            int: its exit code.
        """
        with log.open('ab') as stream:
            stream.write(f'\n$ {shlex.join(command)}\n'.encode())
            stream.flush()
            with self._guard:
                if self._ended:
                    return 130
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self._extra, **environment},
                    pass_fds=() if lock is None else (lock,),
                )
                self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._guard:
                self._running.discard(process)

    def end(self) -> None:
        """End what runs, and start nothing any more."""
        with self._guard:
            self._ended = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
