"""Virtual environments with this package in them in one way or another."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PIP = [sys.executable, '-m', 'pip', '--isolated', '-q']
_OFFLINE = ['--no-deps', '--no-index', '--no-build-isolation']


class Venv:
    """A virtual environment that borrows the stack of this one, but not us.

    A path line of a ``.pth`` file adds a folder of packages without reading
    the ``.pth`` files in it, so an editable install there stays inactive.
    """

    def __init__(self, folder: Path) -> None:
        builder = venv.EnvBuilder(symlinks=os.name != 'nt')
        builder.create(folder)
        self.python = Path(builder.ensure_directories(folder).env_exe)
        where = 'import sysconfig; print(sysconfig.get_path("purelib"))'
        self.site_packages = Path(self.run('-c', where).strip())
        borrowed = [
            path for path in sys.path if Path(path).name.endswith('-packages')
        ]
        (self.site_packages / 'stack.pth').write_text('\n'.join(borrowed))

    def install(self, *what: object) -> None:
        """Install with this environment's pip, beside whatever it holds."""
        run(
            *(*_PIP, '--python', self.python, 'install'),
            *('--ignore-installed', *_OFFLINE, *what),
        )

    def run(self, *arguments: object, **options) -> str:
        return run(self.python, *arguments, **options)


def run(*command: object, cwd: Path | None = None, **extra: object) -> str:
    """Run to success, with nothing of this process's own settings."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('MICACL_', 'PYTHON', 'PIP_'))
    }
    # One thread, for losses that are equal to the last bit.
    env |= {'OMP_NUM_THREADS': '1'}
    env |= {name: str(value) for name, value in extra.items()}
    found = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-4000:]
    return found.stdout


@pytest.fixture(scope='session')
def source(tmp_path_factory):
    """A copy of the project, for builds leave files in their source."""
    copy = tmp_path_factory.mktemp('source')
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    for name in ('configs', 'micacl_mm', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    return copy


@pytest.fixture(scope='session')
def wheel(tmp_path_factory, source):
    folder = tmp_path_factory.mktemp('wheel')
    run(*_PIP, 'wheel', *_OFFLINE, '-w', folder, source)
    (path,) = folder.glob('*.whl')
    return path


@pytest.fixture(scope='session')
def venv_of_wheel(tmp_path_factory, wheel):
    made = Venv(tmp_path_factory.mktemp('venv_of_wheel'))
    made.install(wheel)
    return made


@pytest.fixture(scope='session')
def venv_of_source(tmp_path_factory, source):
    made = Venv(tmp_path_factory.mktemp('venv_of_source'))
    made.install('--editable', source)
    return made
