"""Run any stock MMAction2 tool with the cures, from any folder.

Usage: python -m micacl_mm TOOL [arguments of the tool]

       python -m micacl_mm train config.py --data-root /data/DFEW --fold 1
       python -m micacl_mm test config.py checkpoint.pth
       python -m micacl_mm analysis_tools/print_config config.py

Two tools are ours, all folds and seeds of a config, and the doctor:

       python -m micacl_mm kfold config.py --data-root /data/DFEW
       python -m micacl_mm doctor config.py --data-root /data/DFEW
"""

import sys

from micacl_mm.cli.launch import run_tool, stock_tool


def main() -> None:
    """Run the tool that the command line names."""
    name, *arguments = sys.argv[1:] or ['']
    if name in ('-h', '--help'):
        print(__doc__)
        return
    if not name:
        sys.exit(__doc__)
    if name == 'doctor':
        from micacl_mm.doctor.command import main as examine

        sys.exit(examine(arguments))
    if name == 'kfold':
        # Imported here, for the other tools do without.
        from micacl_mm.cli.kfold import main as run_folds

        sys.exit(run_folds(arguments))
    try:
        stock_tool(name)
    except FileNotFoundError as error:
        sys.exit(str(error))
    run_tool(name, arguments)


if __name__ == '__main__':
    main()
