"""Run any stock tool of MMAction2 on our configs, with our patches.

Usage: micacl mm TOOL [arguments of the tool]

       micacl mm analysis_tools/print_config micacl_dfew --fold 2
       micacl mm analysis_tools/get_flops micacl_dfew --shape 4 3 4 112 112
"""

from collections.abc import Sequence
from contextlib import suppress

from micacl_mm.errors import MissingFileError
from micacl_mm.options import find_config

from . import asks_for_help
from .launch import run_tool


def main(argv: Sequence[str]) -> int:
    """Run the tool that the first argument names."""
    if not argv or asks_for_help(argv[:1]):
        print(__doc__)
        return 0 if argv else 2
    name, *arguments = argv
    if arguments and not arguments[0].startswith('-'):
        with suppress(MissingFileError):  # not a config, for some tools
            arguments[0] = find_config(arguments[0])
    return run_tool(name, arguments)
