"""Run the core of the tests on the lowest and highest versions admitted.

Makes a new virtual environment for each pair of a Python and a torch,
installs a copy of this repository with its extra "stack" there, runs the core
of the tests and prints a table of what passed and what could not be had.

  python tools/dev/test_versions.py                      lowest and highest
  python tools/dev/test_versions.py --pairs 3.11:2.8.0   one of your own
  python tools/dev/test_versions.py --torch-alone        without CUDA packages

torch's wheels for Linux on x86_64 need about 3 GB of CUDA packages even where
there is no GPU. If your package index has CPU builds, name it by pip's own
variables. Else --torch-alone installs torch's wheel by itself and puts empty
stand-ins in the place of the libraries it is linked to (needs gcc, nm and
readelf): good for a test on the CPU, and for nothing else.
Exit code: 0; 1 if a test failed; 2 if an environment could not be made.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[2]
#: By Python and torch; the settings of pip for the rest of the stack.
PAIRS = {
    '3.10:2.6.0': ['numpy==1.26.0'],
    '3.11:2.13.0': [],
    '3.12:2.13.0': [],
}
TOOLS = ['pytest>=8', 'pytest-xdist>=3.8', 'hypothesis>=6.100', 'openpyxl']
CORE = [
    'tests/test_compat.py',
    'tests/test_configs.py',
    'tests/models/test_bag.py',
    'tests/models/test_layers.py',
    'tests/models/test_necks.py',
    'tests/models/test_mccl_loss.py',
    'tests/models/test_long_tail_loss.py',
    'tests/models/test_recognizers.py',
    'tests/datasets/test_dfew_dataset.py',
    'tests/datasets/test_ferv39k_dataset.py',
    'tests/datasets/test_class_folder_dataset.py',
    'tests/hooks/test_hooks.py',
    'tests/records/test_rows.py',
    'tests/security/test_checkpoints.py',
    'tests/test_end_to_end.py',
]
#: What the copy of the repository needs.
PARTS = [
    *('micacl_mm', 'configs', 'tests', 'tools', 'results', 'docs'),
    *('setup.py', 'pyproject.toml', 'README.md', 'CHANGELOG.md'),
]


VERSIONS = """
import micacl_mm, platform, torch, numpy, mmengine, mmcv
print(*(f'{name} {version}' for name, version in (
    ('Python', platform.python_version()), ('torch', torch.__version__),
    ('numpy', numpy.__version__), ('mmengine', mmengine.__version__),
    ('mmcv-lite', mmcv.__version__))), sep=', ')
"""


class Outcome(NamedTuple):
    """A line of the table."""

    pair: str
    versions: str
    result: str
    code: int


def parse_arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--pairs', nargs='+', default=list(PAIRS), metavar='PYTHON:TORCH'
    )
    parser.add_argument('--torch-alone', action='store_true')
    parser.add_argument(
        '--pip-options', default='', help='for all installs, in one text'
    )
    parser.add_argument(
        '--tests', nargs='+', default=CORE, help='default: the core'
    )
    return parser.parse_args(argv)


def find_python(version: str) -> Optional[str]:
    """Find an interpreter of that version: on the PATH or pyenv's."""
    own = '.'.join(map(str, sys.version_info[:2]))
    pyenv = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv'))
    known = [
        sys.executable if own == version else None,
        shutil.which(f'python{version}'),
        *map(str, sorted(pyenv.glob(f'versions/{version}*/bin/python'))),
    ]
    for path in filter(None, known):
        # pyenv puts names on the PATH behind which there may be nothing.
        done = subprocess.run([path, '--version'], capture_output=True)
        if not done.returncode:
            return path
    return None


def run(*command: object) -> str:
    """Run a command and return what it printed.

    Raises:
        RuntimeError: It failed; with its last lines.
    """
    done = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        last = [line for line in done.stdout.splitlines() if line.strip()]
        raise RuntimeError(' '.join(last[-3:])[-400:])
    return done.stdout


def test_pair(
    pair: str, arguments: argparse.Namespace, folder: Path
) -> Outcome:
    """Make one environment and run the tests in it."""
    version, torch = pair.split(':')
    base = find_python(version)
    if base is None:
        return Outcome(pair, '', f'no Python {version} found', 2)
    print(f'{pair}: making the environment', flush=True)
    python = folder / 'venv/bin/python'
    pip = [
        python,
        '-m',
        'pip',
        'install',
        '-q',
        *arguments.pip_options.split(),
    ]
    try:
        run(base, '-m', 'venv', folder / 'venv')
        alone = ['--no-deps'] if arguments.torch_alone else []
        run(*pip, *alone, f'torch=={torch}')
        if alone:
            stand_in(python)
        extra = [f'torch=={torch}', *PAIRS.get(pair, [])]
        copy = copy_repository(folder / 'copy')
        run(*pip, f'{copy}[stack]', *TOOLS, *extra)
        versions = run(python, '-c', VERSIONS).strip()
    except RuntimeError as error:
        return Outcome(pair, '', f'could not be installed: {error}', 2)
    done = subprocess.run(
        [python, '-m', 'pytest', '-q', '-n0', '-m', 'not slow']
        + ['-p', 'no:cacheprovider', *arguments.tests],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout, flush=True)
    last = done.stdout.strip().splitlines()[-1].strip('= ')
    return Outcome(pair, versions, last, min(done.returncode, 1))


def copy_repository(target: Path) -> Path:
    """Copy what is installed and tested: pip leaves files where it builds."""
    skip = shutil.ignore_patterns('__pycache__', '*.egg-info', 'work_dirs')
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=skip)
        elif source.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    return target


def stand_in(python: Path) -> None:
    """Put empty libraries where torch's own look for those of CUDA."""
    code = 'import sysconfig; print(sysconfig.get_path("purelib"))'
    site = Path(run(python, '-c', code).strip())
    libraries = sorted((site / 'torch/lib').glob('*.so*'))
    needed: set[str] = set()
    wanted: dict[str, set[str]] = {}  # names by version; '' has none
    versions: dict[str, set[str]] = {}  # by library
    for library in libraries:
        told = run('readelf', '-d', '-V', '-W', library)
        needed |= set(re.findall(r'NEEDED.*\[(.*)\]', told))
        for part in told.split(' File: ')[1:]:
            found = set(re.findall(r'Name: (\S+)', part))
            versions.setdefault(part.split()[0], set()).update(found)
        for line in run('nm', '-D', '-u', library).splitlines():
            # cudaMalloc@libcudart.so.12, or a bare name.
            name, _, version = line.split()[-1].partition('@')
            if re.match(r'(__cuda|cu|nv|Nv|nccl)', name):
                wanted.setdefault(version, set()).add(name)
    needed -= {library.name for library in libraries}
    for name in needed:
        if re.match(r'lib(cu|nv|nccl)', name):
            own = {v: wanted[v] for v in versions.get(name, ()) if v in wanted}
            path = site / 'torch/lib' / name
            make_stand_in(path, own, wanted.get('', set()))
    # Or pip would fetch what torch says that it needs.
    for path in site.glob('torch-*.dist-info/METADATA'):
        kept = [
            line
            for line in path.read_text(encoding='utf-8').splitlines(True)
            if not re.match(r'Requires-Dist: (nvidia|triton|cuda)', line)
        ]
        path.write_text(''.join(kept), encoding='utf-8')


def make_stand_in(
    path: Path, own: dict[str, set[str]], others: set[str]
) -> None:
    """Compile a library of functions that do nothing and return 0.

    Args:
        path (Path): The library.
        own (dict[str, set[str]]): Names of its functions by their version.
        others (set[str]): Names without one, of any library.
    """
    names = sorted(others.union(*own.values()))
    bodies = dict.fromkeys(names, '(void) { return 0; }')
    if 'cudaGetDeviceCount' in bodies:  # 100: there is no device
        bodies['cudaGetDeviceCount'] = '(int *n) { *n = 0; return 100; }'
    source, script = path.with_suffix('.c'), path.with_suffix('.map')
    source.write_text('\n'.join(f'int {n}{b}' for n, b in bodies.items()))
    nodes = (f'{v} {{ {" ".join(f"{n};" for n in own[v])} }};' for v in own)
    script.write_text('\n'.join(nodes))
    version = [f'-Wl,--version-script={script}'] if own else []
    flags = ['-w', '-fno-builtin', '-shared', '-fPIC', *version]
    run('gcc', *flags, f'-Wl,-soname,{path.name}', source, '-o', path)
    source.unlink(), script.unlink()


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Test all pairs and print the table."""
    arguments = parse_arguments(argv)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    outcomes = []
    for pair in arguments.pairs:
        with tempfile.TemporaryDirectory(prefix='versions-') as folder:
            outcomes.append(test_pair(pair, arguments, Path(folder)))
    print('| asked for | installed | result |\n|---|---|---|')
    for outcome in outcomes:
        print(f'| {outcome.pair} | {outcome.versions} | {outcome.result} |')
    return max(outcome.code for outcome in outcomes)


if __name__ == '__main__':
    sys.exit(main())
