"""What a run ran on: machine, code and command."""

import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import get_world_size

from micacl_mm.utils.workers import count_cores

#: Stands for the commit of code without one.
NO_COMMIT = 'no commit'
#: Set by a tool that calls others, to be named instead of these.
COMMAND_VARIABLE = 'MICACL_COMMAND'


def describe_machine() -> str:
    """Name the processors in one line, without host or path.

    ``'NVIDIA H100 80GB HBM3 x 8, torch 2.7.0'``, or without a GPU ``'AMD
    EPYC, 4 cores, 2 threads, torch 2.7.0'``.
    """
    version = f'torch {torch.__version__.split("+")[0]}'
    ranks = get_world_size()
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        return f'{name}{f" x {ranks}" if ranks > 1 else ""}, {version}'
    threads = torch.get_num_threads() * ranks
    return (
        f'{_processor()}, {count_cores()} cores, {threads} '
        f'{"thread" if threads == 1 else "threads"}, {version}'
    )


def git_commit(
    package: Path = Path(__file__).parents[1], config: Optional[str] = None
) -> str:
    """Return the commit of the checkout that a package is part of.

    A short hash, with ``-dirty`` if tracked files differ or the config file
    is not tracked there; empty where there is no checkout or no git.
    """
    git = ['git', '-C', str(package)]
    # An environment in someone else's checkout is no checkout of ours.
    tracked = [*git, 'ls-files', '--error-unmatch', '__init__.py']
    if not _output(tracked):
        return ''
    commit = _output([*git, 'describe', '--always', '--dirty', '--exclude=*'])
    own = config and not _output(
        [*git, 'ls-files', '--error-unmatch', os.path.abspath(config)]
    )
    return f'{commit.removesuffix("-dirty")}-dirty' if own else commit


def command_line() -> str:
    """Return the command that runs, with paths as others may see them.

    Paths below the current folder become relative to it; of others only the
    last part is kept.
    """
    if command := os.environ.get(COMMAND_VARIABLE):
        return command
    words = [*map(_public, sys.orig_argv[1:])]
    if words[:2] == ['-m', 'micacl_mm']:
        words[:2] = ['micacl']
    return shlex.join(words if words[:1] == ['micacl'] else ['python', *words])


def _public(token: str) -> str:
    head, equals, tail = token.rpartition('=')
    if not os.path.isabs(tail):
        return token
    path = Path(tail)
    below = path.is_relative_to(Path.cwd()) and path != Path.cwd()
    name = str(path.relative_to(Path.cwd())) if below else path.name
    return f'{head}{equals}{name}'


def _processor() -> str:
    try:
        text = Path('/proc/cpuinfo').read_text()
    except OSError:
        text = ''
    found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    name = found[1] if found else platform.processor()
    return name.strip() or platform.machine()


def _output(command: list[str]) -> str:
    # Without the lock, which another git may hold.
    environment = {**os.environ, 'GIT_OPTIONAL_LOCKS': '0'}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return ''
    return done.stdout.strip() if done.returncode == 0 else ''
