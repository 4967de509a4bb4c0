"""Make the pictures of any run: confusion matrix, recalls, curves, features.

A RUN is a work directory of micacl train, or a folder that contains
several, such as that of micacl kfold. The PNG files go to RUN/plots.

  micacl plot work_dirs/micacl_demo
  micacl plot work_dirs/baseline work_dirs/micacl --features tsne
  micacl plot --from-rows results/FILE.csv --methods r3d18_mil micacl

What cannot be made is named with the reason; docs/plots.md tells the rest.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from mmengine.config import DictAction

from micacl_mm.cli.launch import limit_threads
from micacl_mm.visualization.method import Method, find_methods
from micacl_mm.visualization.pictures import (
    FeatureOptions,
    Report,
    plot_method,
    plot_recalls,
)
from micacl_mm.visualization.recall_plot import plot_recall
from micacl_mm.visualization.result import results_of_rows


def parse_pair(text: str) -> tuple[str, str]:
    """Read ``COLUMN=TEXT``."""
    name, equals, value = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError(f'{text!r} is not COLUMN=TEXT')
    return name, value


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='micacl plot',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('runs', nargs='*', type=Path, metavar='RUN')
    parser.add_argument('--out', type=Path, metavar='DIR')
    parser.add_argument(
        '--labels', nargs='+', help='names of the methods in the pictures'
    )
    parser.add_argument(
        '--features', choices=('pca', 'tsne', 'none'), default='pca'
    )
    parser.add_argument(
        '--checkpoint',
        type=Path,
        help='take the features of this one, not of the tested one',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change the config of the run, for the features',
    )
    parser.add_argument(
        '--data-root',
        metavar='DIR',
        help='where the set lies now, for the features',
    )
    parser.add_argument(
        '--from-rows',
        type=Path,
        metavar='CSV',
        help='draw recalls from a file of results instead of from runs',
    )
    parser.add_argument('--methods', nargs='+', help='of the file of results')
    parser.add_argument(
        '--where',
        nargs='+',
        default=[],
        type=parse_pair,
        metavar='COLUMN=TEXT',
        help='take only these rows or tests, for instance selection=val',
    )
    arguments = parser.parse_args(argv)
    if bool(arguments.runs) == bool(arguments.from_rows):
        parser.error('give one RUN or more, or else --from-rows')
    if arguments.from_rows and not arguments.methods:
        parser.error('--from-rows needs --methods')
    return arguments


def main(argv: Sequence[str]) -> int:
    """Make the pictures; 1 if there are none."""
    arguments = parse_arguments(argv)
    limit_threads()
    report = Report()
    if arguments.from_rows:
        report.add('recall', plot_rows, arguments)
    else:
        plot_runs(arguments, report)
    print(*report.made, *report.missing, sep='\n')
    return 0 if report.made else 1


def plot_rows(arguments: argparse.Namespace) -> list[Path]:
    """Draw the recalls of some methods from committed rows."""
    labels = arguments.labels or arguments.methods
    check_labels(labels, len(arguments.methods))
    found = [
        results_of_rows(arguments.from_rows, method, dict(arguments.where))
        for method in arguments.methods
    ]
    path = (arguments.out or Path('work_dirs/plots')) / 'recall.png'
    return [plot_recall(dict(zip(labels, found, strict=True)), path)]


def plot_runs(arguments: argparse.Namespace, report: Report) -> None:
    """Make the pictures of each method, then those side by side."""
    try:
        found = [
            (run, method)
            for run in arguments.runs
            for method in find_methods(run, dict(arguments.where))
        ]
        methods = label_methods([m for _, m in found], arguments.labels)
        check_checkpoint(methods, arguments.checkpoint)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    changes = dict(arguments.cfg_options or {})
    if arguments.data_root:
        changes['test_dataloader.dataset.data_root'] = arguments.data_root
    options = FeatureOptions(arguments.features, arguments.checkpoint, changes)
    # A folder for each method, unless the RUN is its folder already.
    held = Counter(run for run, _ in found)
    for method, (run, _) in zip(methods, found, strict=True):
        folder, alone = arguments.out, len(methods) == 1
        if folder is None:
            folder, alone = run / 'plots', held[run] == 1
        if not alone:
            folder = folder / method.label.replace(os.sep, '_')
        plot_method(method, folder, options, report)
    if len(methods) > 1:
        folder = arguments.out or arguments.runs[0] / 'plots'
        path = folder / 'recall_compared.png'
        report.add('recalls side by side', plot_recalls, methods, path)


def label_methods(
    methods: Sequence[Method], labels: Optional[Sequence[str]]
) -> list[Method]:
    """Name the methods, each differently."""
    if labels is None:
        names = Counter(method.label for method in methods)
        labels = [
            m.label if names[m.label] == 1 else f'{m.label} in {m.folder}'
            for m in methods
        ]
    check_labels(labels, len(methods))
    return [
        method._replace(label=label)
        for method, label in zip(methods, labels, strict=True)
    ]


def check_labels(labels: Sequence[str], methods: int) -> None:
    """Refuse labels that do not tell the methods apart."""
    if len(set(labels)) != methods or len(labels) != methods:
        raise ValueError(
            f'--labels must be {methods} different names, one for each '
            f'method, got {list(labels)}'
        )


def check_checkpoint(
    methods: Sequence[Method], checkpoint: Optional[Path]
) -> None:
    """Refuse one checkpoint for several runs, or one that is not there."""
    if checkpoint is None:
        return
    if len(methods) > 1 or len(methods[0].runs) > 1:
        raise ValueError('--checkpoint is for one run; give that one alone')
    if not checkpoint.is_file():
        raise FileNotFoundError(f'--checkpoint: there is no file {checkpoint}')
