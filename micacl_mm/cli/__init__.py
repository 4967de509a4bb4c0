"""The ``micacl`` command.

Help is printed without importing torch; a command registers the package and
imports its own module. Each ``micacl_mm/cli/NAME.py`` has ``main(argv)``,
which returns the exit code.
"""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Optional

from micacl_mm.version import __version__

#: Command -> its line of help. The module has the name with underscores.
COMMANDS = {
    'train': 'train a config, by path or by the name of a shipped one',
    'test': 'test a checkpoint',
    'kfold': 'train and test folds and seeds, with mean and interval',
    'retrain-classifier': 'retrain the head on balanced batches (cRT)',
    'infer': 'predict expressions in videos and folders of frames',
    'app': 'predict in the browser, on a video or with the camera',
    'export': 'write a trained model as ONNX or as a torch.export program',
    'plot': 'draw confusion matrices, recalls, curves and features of runs',
    'leaderboard': 'list or add tested runs beside committed figures',
    'doctor': 'check machine, installation, data and config',
    'crop-faces': 'crop the faces of all clips of a folder',
    'pack': 'pack the face frames of a set into one file',
    'demo': 'draw a synthetic set, train, test and predict on a video',
    'make-data': 'draw a synthetic set of facial expressions',
    'make-benchmark': 'draw or verify the open synthetic benchmark',
    'make-video': 'draw a video of a face with several expressions',
    'mm': 'run any stock tool of MMAction2 on our configs',
}
#: Those that need neither torch nor MMAction2 themselves.
_LIGHT = ('demo', 'make-data', 'make-benchmark', 'make-video')


def usage() -> str:
    """Return the help of the whole command."""
    lines = '\n'.join(
        f'  {name:<18} {text}' for name, text in COMMANDS.items()
    )
    return (
        f'micacl {__version__}: facial expressions in video with MICACL and '
        'MMAction2\n\nUsage: micacl COMMAND [arguments]\n\n'
        f'{lines}\n\nmicacl COMMAND --help has the options of a command.'
    )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run a command.

    Args:
        argv (Sequence[str], optional): Defaults to None, the command line of
            this process.

    Returns:
        int: exit code: that of the command; 2 for wrong arguments, 130
        after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):  # file names in any script
            stream.reconfigure(errors='backslashreplace')
    name, *rest = (sys.argv[1:] if argv is None else argv) or ['--help']
    if name in ('-h', '--help', '--version'):
        print(__version__ if name == '--version' else usage())
        return 0
    name = name.replace('_', '-')
    if name not in COMMANDS:
        print(
            f'micacl: there is no command {name!r}; a stock tool of MMAction2 '
            f'runs as: micacl mm {name}\n\n{usage()}',
            file=sys.stderr,
        )
        return 2
    try:
        return _run(name, rest)
    except BaseException as error:
        if not _is_interrupt(error):
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # while Python ends
        print(f'\nmicacl {name}: stopped', file=sys.stderr)
        return 130


def _is_interrupt(error: Optional[BaseException]) -> bool:
    """Whether Ctrl-C is behind an error.

    MMEngine makes a SyntaxError of it while it formats a config, as it does
    for each checkpoint.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _run(name: str, rest: Sequence[str]) -> int:
    """Register the package, import the command and run it."""
    from micacl_mm import register
    from micacl_mm.errors import MICACLError

    options = {}
    try:
        if name not in _LIGHT:
            register()
    except Exception as error:  # whatever a broken stack raises
        if name != 'doctor':
            if isinstance(error, ImportError):
                return _fail(name, error)
            raise
        options = {'broken': error}
    try:
        module = import_module(f'micacl_mm.cli.{name.replace("-", "_")}')
        return module.main(rest, **options)
    except MICACLError as error:
        return _fail(name, error)


def _fail(name: str, error: Exception) -> int:
    print(f'micacl {name}: {error}', file=sys.stderr)
    return 2
