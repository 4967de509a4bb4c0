"""What the checks ask the machine; tests substitute other answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, Optional

_SHARED_MEMORY = Path('/dev/shm')


class Gpu(NamedTuple):
    """A GPU as reported by its driver."""

    name: str
    driver: str


def version(name: str) -> Optional[str]:
    """Version of an installed distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def shared_memory() -> Optional[tuple[int, int]]:
    """Size and free bytes of /dev/shm, None where there is none."""
    if not _SHARED_MEMORY.is_dir():
        return None
    usage = shutil.disk_usage(_SHARED_MEMORY)
    return usage.total, usage.free


def cores() -> int:
    """Cores that this process may use."""
    from micacl_mm.records.machine import count_cores

    return count_cores()


def omp_threads() -> str:
    """``OMP_NUM_THREADS``, empty if it is not set."""
    return os.environ.get('OMP_NUM_THREADS', '')


def free_disk(folder: Path) -> int:
    """Free bytes where a folder is or would be."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """The folder, or the nearest existing one above it."""
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
