"""The ``micacl`` command.

Each ``micacl_mm/cli/NAME.py`` has ``main(argv)``, which returns the exit code.
It parses its arguments before it imports what is slow, so that help comes at
once, and lets errors pass: they are printed here.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Optional, TextIO

from micacl_mm.errors import DependencyError, MICACLError
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
#: Which continue where they were stopped.
_RESUMED = {'kfold', 'crop-faces', 'demo', 'make-data', 'make-benchmark'}
#: These need the stack for their help; those do without it altogether.
_HEAVY = {'app'}
_LIGHT = {'demo', 'make-data', 'make-benchmark', 'make-video'}


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
    """Run a command, by default that of this process.

    Returns:
        int: exit code: that of the command; 2 for wrong arguments and other
        errors of the user's side, 130 after Ctrl-C.
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
        if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if _is_interrupt(error):
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # while Python ends
            resume = '; run the same command to resume'
            more = resume if name in _RESUMED else ''
            print(f'\nmicacl {name}: stopped{more}', file=sys.stderr)
            return 130
        # Others are raised by code that is not ours, perhaps by the user's.
        if not (isinstance(error, MICACLError) or _is_of_system(error)):
            raise
        print(f'micacl {name}: {error}', file=sys.stderr)
        return 2


def _is_unread(stream: TextIO) -> bool:
    """Whether nobody reads on, as behind ``| head``."""
    try:
        print(file=stream, flush=True)
    except BrokenPipeError:
        return True
    return False


def _is_of_system(error: BaseException) -> bool:
    """Whether the system refused, such as a full disk."""
    return isinstance(error, OSError) and bool(error.strerror)


def _is_interrupt(error: Optional[BaseException]) -> bool:
    """Whether Ctrl-C is behind an error.

    MMEngine makes a SyntaxError of it while it formats a config, as it does
    for each checkpoint.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _run(name: str, rest: Sequence[str]) -> int:
    from micacl_mm import register

    options = {}
    light = name in _LIGHT or asks_for_help(rest)
    if name in _HEAVY or not light:
        try:
            register()
        except Exception as error:  # whatever a broken stack raises
            if name != 'doctor':
                if isinstance(error, MICACLError):
                    raise
                problem = f'{type(error).__name__}: {error}'
                raise DependencyError(problem, 'run: micacl doctor') from error
            options['broken'] = error
    module = import_module(f'{__name__}.{name.replace("-", "_")}')
    return module.main(rest, **options)


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether ``-h`` or ``--help`` is among them."""
    return not {'-h', '--help'}.isdisjoint(arguments)


class KeyValue(argparse.Action):
    """MMEngine's ``DictAction``, imported where it is used."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Parse ``KEY=VALUE ...``."""
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest)(*args, **kwargs)


def make_parser(name: str, doc: str) -> argparse.ArgumentParser:
    """Make the parser of a command; the docstring is its help."""
    return argparse.ArgumentParser(
        prog=f'micacl {name}',
        description=doc,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add MMEngine's ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValue,
        default={},
        metavar='KEY=VALUE',
        help='settings of the config to change',
    )
