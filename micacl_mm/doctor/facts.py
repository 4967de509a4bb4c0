"""What the checks ask the machine; tests put other answers in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, Optional

SHARED_MEMORY = Path('/dev/shm')


class Package(NamedTuple):
    """An installed distribution and what it requires."""

    version: str
    requires: tuple[str, ...] = ()


class Gpu(NamedTuple):
    """A GPU as its driver tells it."""

    name: str
    driver: str


def python_version() -> tuple[int, int]:
    """Major and minor version."""
    return sys.version_info[:2]


@cache
def packages() -> dict[str, Package]:
    """Installed distributions by name in lower case, with dashes."""
    found: dict[str, Package] = {}
    for distribution in metadata.distributions():
        about = distribution.metadata  # read anew each time
        name = about['Name']
        if name:  # a broken one has none; of two the first is imported
            needs = tuple(distribution.requires or ())
            package = Package(about['Version'] or '0', needs)
            found.setdefault(plain_name(name), package)
    return found


def plain_name(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return name.lower().replace('_', '-').replace('.', '-')


def version(name: str) -> Optional[str]:
    """Version of an installed distribution."""
    found = packages().get(name)
    return found and found.version


def shared_memory() -> Optional[tuple[int, int]]:
    """Size and free bytes of /dev/shm, None where there is none."""
    if not SHARED_MEMORY.is_dir():
        return None
    usage = shutil.disk_usage(SHARED_MEMORY)
    return usage.total, usage.free


def open_files() -> Optional[int]:
    """How many files a process may open, None if nobody says."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def cores() -> int:
    """Cores that this process may use."""
    from micacl_mm.records.machine import count_cores

    return count_cores()


def omp_threads() -> str:
    """What the environment says of OpenMP's threads."""
    return os.environ.get('OMP_NUM_THREADS', '')


def free_disk(folder: Path) -> int:
    """Free bytes where a folder is or would be."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.expanduser().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def gpus() -> list[Gpu]:
    """GPUs that NVIDIA's driver knows; none without it."""
    command = ['nvidia-smi', '--query-gpu=name,driver_version']
    try:
        done = subprocess.run(
            [*command, '--format=csv,noheader'],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    if done.returncode:
        return []
    lines = [line.rpartition(',') for line in done.stdout.splitlines()]
    return [Gpu(name.strip(), driver.strip()) for name, _, driver in lines]
