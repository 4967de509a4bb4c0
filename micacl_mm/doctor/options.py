"""The command line of the doctor."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

DESCRIPTION = """\
Check machine, installation and, with a config, data and model before a
training: one line a check, and a cure for what is wrong.

  micacl doctor
  micacl doctor micacl_dfew --data-root /data/DFEW
  micacl doctor micacl_dfew --decode all --json doctor.json

Nothing is written beside the data."""
EPILOG = """\
Exit code: 0 if nothing failed, 1 if something did, 2 for a wrong argument,
130 after Ctrl-C."""


def parse_options(
    arguments: Sequence[str], *, whole: bool = True
) -> argparse.Namespace:
    """Read the command line; the options of our data go to the environment.

    Args:
        arguments (Sequence[str]): Without the name of the program.
        whole (bool): False where the package cannot be imported: then
            options of the data are passed over. Defaults to True.

    Raises:
        SystemExit: Wrong usage, or help that was asked for.
    """
    parser = _parser()
    if not whole:
        found = parser.parse_known_args(arguments)[0]
        found.config = None  # or the value of an option that is not known
        return found
    from mmengine.config import DictAction

    from micacl_mm.options import find_config, help_options, take_options

    parser.epilog = '\n'.join(
        [
            'options of the data:',
            help_options(),
            '',
            EPILOG,
        ]
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings of the config to change, KEY=VALUE',
    )
    try:
        rest = take_options(arguments)
        found = parser.parse_args(rest)
        found.config = found.config and find_config(found.config)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    if not found.workers:
        from . import facts

        found.workers = facts.cores()
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='micacl doctor',
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('config', nargs='?', help='config of a training')
    add('--checkpoint', metavar='FILE', help='a checkpoint that is to fit it')
    add('--work-dir', metavar='DIR', help='where the training will write')
    add(
        '--decode',
        choices=('sample', 'all', 'none'),
        default='sample',
        help='clips to decode, every frame of them; default: sample',
    )
    add(
        '--sample',
        type=_positive,
        default=100,
        metavar='N',
        help='clips of --decode sample; default: 100',
    )
    add(
        '--workers',
        type=_positive,
        metavar='N',
        help='processes that decode; default: one a core',
    )
    add(
        '--state',
        metavar='FILE',
        help='notes of decoded clips, from which a stopped run goes on; '
        'default: with --decode all doctor_decode.jsonl in the work dir',
    )
    add(
        '--batch',
        type=_positive,
        metavar='N',
        help="clips of the trial batch; default: the config's, 4 on a CPU",
    )
    add(
        '--backward',
        action='store_true',
        help='also compute the gradients of the batch',
    )
    add('--strict', action='store_true', help='a WARN counts as a FAIL')
    add('--json', metavar='FILE', help='write the findings there, too')
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be 1 or more, got {text!r}')
    return int(text)
