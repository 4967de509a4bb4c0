"""Draw confusion matrix, recalls, learning curves and features of runs.

A RUN is a work directory of `micacl train`, or a folder with several, such as
that of `micacl kfold`. The pictures go to RUN/plots.

  micacl plot work_dirs/micacl_demo
  micacl plot work_dirs/baseline work_dirs/micacl --features tsne
  micacl plot --from-rows results/FILE.csv --methods r3d18_mil micacl
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from micacl_mm.errors import ConfigError

from . import add_cfg_options, make_parser
from .launch import check_checkpoint, limit_threads

if TYPE_CHECKING:
    from micacl_mm.visualization.runs import Result, Run


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError(f'{text!r} is not COLUMN=TEXT')
    return name, value


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = make_parser('plot', __doc__)
    add = parser.add_argument
    add('runs', nargs='*', type=Path, metavar='RUN')
    add('--out', type=Path, metavar='DIR', help='write the pictures there')
    add('--labels', nargs='+', help='names of the methods in the pictures')
    add('--features', choices=('pca', 'tsne', 'none'), default='pca')
    add('--format', choices=('png', 'pdf', 'svg'), default='png')
    add('--checkpoint', type=Path, help='take the features of this one')
    add('--data-root', metavar='DIR', help='data set, for the features')
    add_cfg_options(parser)
    add('--from-rows', type=Path, metavar='CSV', help='recalls from a table')
    add('--methods', nargs='+', help='of that table')
    add(
        '--where',
        nargs='+',
        default=[],
        type=_pair,
        metavar='COLUMN=TEXT',
        help='only these tests or rows, for instance selection=val',
    )
    arguments = parser.parse_args(argv)
    if bool(arguments.runs) == bool(arguments.from_rows):
        parser.error('give one RUN or more, or else --from-rows')
    if arguments.checkpoint:
        check_checkpoint(str(arguments.checkpoint))
    if arguments.from_rows and not arguments.methods:
        parser.error('--from-rows needs --methods')
    return arguments


class _Pictures:
    """Draws what can be drawn and keeps the reasons why others cannot."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.made: list[Path] = []
        self.missing: list[str] = []

    def draw(self, what: str, function: Callable, *args: Any) -> None:
        """Call a function that returns a path; note it or the reason."""
        try:
            self.made.append(function(*args))
        except Exception as error:  # also of a user's model or data
            self.missing.append(f'no {what}: {error}')

    def path(self, folder: Path, name: str) -> Path:
        """Where a picture goes, in the wanted format."""
        return folder / f'{name}.{self.options.format}'

    def of_method(self, label: str, runs: list[Run], folder: Path) -> None:
        """All pictures of one method."""
        of = f'of {label}'
        self.draw(f'confusion matrix {of}', self._confusion, runs, folder)
        path = self.path(folder, 'recall')
        self.draw(f'recall {of}', self.recalls, {label: runs}, path)
        self.draw(f'curves {of}', self._curves, label, runs, folder)
        if self.options.features != 'none':
            self.draw(f'features {of}', self._features, label, runs, folder)

    def recalls(self, methods: dict[str, list[Run]], path: Path) -> Path:
        """Recalls of one method, or of several side by side."""
        from micacl_mm.visualization.plots import plot_recall

        found = {name: _results(runs) for name, runs in methods.items()}
        size = len(next(iter(found.values()))[0].classes)
        counts = [r.class_counts(size) for rs in methods.values() for r in rs]
        return plot_recall(found, path, next(filter(None, counts), None))

    def _confusion(self, runs: list[Run], folder: Path) -> Path:
        from micacl_mm.visualization.plots import plot_confusion

        path = self.path(folder, 'confusion_matrix')
        return plot_confusion(_results(runs), path)

    def _curves(self, label: str, runs: list[Run], folder: Path) -> Path:
        from micacl_mm.visualization.plots import plot_curves

        logged = [run.scalars() for run in runs if run.logs()]
        if not logged:
            raise FileNotFoundError('there is no vis_data/scalars.json')
        tested, title = None, f'{label}, {len(runs)} runs'
        if len(runs) == 1:
            title = label
            if runs[0].results:
                tested = runs[0].result().record.get('epoch')
        path = self.path(folder, 'curves')
        return plot_curves(logged, path, title, tested)

    def _features(self, label: str, runs: list[Run], folder: Path) -> Path:
        from mmengine.config import Config

        from micacl_mm.apis.features import collect_features
        from micacl_mm.visualization.plots import plot_features

        options, run = self.options, runs[0]
        config = Config.fromfile(run.config())
        config.merge_from_dict(options.cfg_options)
        if options.data_root:
            root = {'test_dataloader.dataset.data_root': options.data_root}
            config.merge_from_dict(root)
        checkpoint = options.checkpoint or run.checkpoint()
        bags = collect_features(config, checkpoint)
        print(f'features of the test split: {bags.source}, {checkpoint}')
        self.made.append(bags.save(folder / 'features.npz'))
        path = self.path(folder, f'features_{options.features}')
        counts = run.class_counts(len(bags.classes))
        return plot_features(bags, path, options.features, label, counts)


def _results(runs: list[Run]) -> list[Result]:
    from micacl_mm.visualization.runs import check_replicates

    tested = [run for run in runs if run.results]
    found = [run.result() for run in tested or runs]
    check_replicates(found)
    return found


def _check(names: Sequence[str], labels: Optional[Sequence[str]]) -> list[str]:
    labels = [*(labels or names)]
    if len(set(labels)) != len(names) or len(labels) != len(names):
        raise ConfigError(
            f'--labels must be {len(names)} different names, one for each of '
            f'{", ".join(names)}, got {labels}'
        )
    return labels


def main(argv: Sequence[str]) -> int:
    """Draw the pictures.

    Returns:
        int: 0; 1 if nothing could be drawn.
    """
    options = _parse(argv)
    limit_threads()
    pictures, where = _Pictures(options), dict(options.where)
    draw = _plot_rows if options.from_rows else _plot_runs
    try:
        draw(pictures, where)
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    print(*pictures.made, *pictures.missing, sep='\n')
    return 0 if pictures.made else 1


def _plot_rows(pictures: _Pictures, where: dict[str, str]) -> None:
    from micacl_mm.visualization.plots import plot_recall
    from micacl_mm.visualization.runs import results_of_rows

    options = pictures.options
    labels = _check(options.methods, options.labels)
    found = {
        label: results_of_rows(options.from_rows, method, where)
        for label, method in zip(labels, options.methods, strict=True)
    }
    path = pictures.path(options.out or Path('work_dirs/plots'), 'recall')
    pictures.draw('recall', plot_recall, found, path)


def _plot_runs(pictures: _Pictures, where: dict[str, str]) -> None:
    from micacl_mm.visualization.runs import find_runs, group_by_method

    options = pictures.options
    groups = [
        (top, name, runs)
        for top in options.runs
        for name, runs in group_by_method(find_runs(top, where)).items()
    ]
    names = [name for _, name, _ in groups]
    if len(set(names)) < len(names):
        names = [f'{name} in {top}' for top, name, _ in groups]
    labels = _check(names, options.labels)
    if options.checkpoint and (len(groups) > 1 or len(groups[0][2]) > 1):
        raise ConfigError('--checkpoint is for one run', 'give that one alone')
    for label, (top, _, runs) in zip(labels, groups, strict=True):
        folder = options.out or top / 'plots'
        shared = [group[0] for group in groups].count(top) > 1
        if shared or (options.out and len(groups) > 1):
            folder = folder / label.replace('/', '_')
        pictures.of_method(label, runs, folder)
    if len(groups) > 1:
        folder = options.out or options.runs[0] / 'plots'
        path = pictures.path(folder, 'recall_compared')
        both = {k: g[2] for k, g in zip(labels, groups, strict=True)}
        pictures.draw('recalls side by side', pictures.recalls, both, path)
