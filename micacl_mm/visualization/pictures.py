"""All pictures of a run, one after the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mmengine.config import Config

from .confusion import plot_pooled_confusion
from .curves import plot_curves
from .feature_plot import check_projection, plot_features
from .features import collect_features
from .method import Method
from .recall_plot import plot_recall
from .scalars import read_scalars


class FeatureOptions(NamedTuple):
    """Whose features are taken, and how they are laid out.

    Attributes:
        projection (str): ``'pca'``, ``'tsne'`` or ``'none'``.
        checkpoint (Path, optional): Instead of the tested one.
        cfg_options (dict, optional): Merged into the config of the run.
    """

    projection: str = 'pca'
    checkpoint: Optional[Path] = None
    cfg_options: Optional[dict[str, Any]] = None


class Report:
    """Makes pictures and keeps account of them.

    Attributes:
        made (list[Path]): The written files.
        missing (list[str]): What could not be made, and why.
    """

    def __init__(self) -> None:
        self.made: list[Path] = []
        self.missing: list[str] = []

    def add(self, what: str, draw: Callable, *args: Any) -> None:
        """Try one picture.

        Args:
            what (str): Name of the picture.
            draw (Callable): Returns the written files.
            *args: For ``draw``.
        """
        try:
            self.made += draw(*args)
        except (OSError, ValueError, ImportError) as error:
            self.missing.append(f'no {what}: {error}')
        except Exception as error:  # of a user's model or data, anything
            kind = type(error).__name__
            self.missing.append(f'no {what}: {kind}: {error}')


def plot_method(
    method: Method, folder: Path, options: FeatureOptions, report: Report
) -> None:
    """Make all pictures of one method.

    Args:
        method (Method): One run or several.
        folder (Path): For the files.
        options (FeatureOptions): About the picture of features.
        report (Report): Takes the files, and what cannot be made.
    """
    of = f'of {method.label} ({method.folder})'
    tested = sum(bool(run.records) for run in method.runs)
    if 0 < tested < len(method.runs):
        report.missing.append(
            f'{tested} of {len(method.runs)} runs {of} have a test; the '
            'others are not in confusion matrix and recall'
        )
    report.add(f'confusion matrix {of}', _confusion, method, folder)
    report.add(f'recall {of}', plot_recalls, [method], folder / 'recall.png')
    report.add(f'learning curves {of}', _curves, method, folder)
    if options.projection != 'none':
        report.add(f'features {of}', _features, method, folder, options)


def plot_recalls(methods: Sequence[Method], path: Path) -> list[Path]:
    """Draw the recalls of one method, or of several side by side."""
    results = {method.label: method.results() for method in methods}
    classes = results[methods[0].label][0].classes
    known = (method.class_counts(classes) for method in methods)
    counts = next(filter(None, known), None)
    return [plot_recall(results, path, counts)]


def _confusion(method: Method, folder: Path) -> list[Path]:
    path = folder / 'confusion_matrix.png'
    return [plot_pooled_confusion(method.results(), path)]


def _curves(method: Method, folder: Path) -> list[Path]:
    sessions = [run.find('vis_data/scalars.json') for run in method.runs]
    if not any(sessions):
        raise FileNotFoundError(
            'there is no vis_data/scalars.json, which tools/train.py writes'
        )
    runs = [read_scalars(paths) for paths in sessions if paths]
    title, tested = method.label, None
    if len(method.runs) > 1:
        title += f', {len(runs)} runs'
    else:
        tested = method.runs[0].tested_epoch()
    return [plot_curves(runs, folder / 'curves.png', title, tested)]


def _features(
    method: Method, folder: Path, options: FeatureOptions
) -> list[Path]:
    check_projection(options.projection)
    run = method.runs[0]
    checkpoint = options.checkpoint or run.checkpoint()
    config = Config.fromfile(run.config())
    config.merge_from_dict(options.cfg_options or {})
    bags = collect_features(config, checkpoint)
    print(f'features of the test split: {bags.source}, {checkpoint}')
    name = method.label
    if len(method.runs) > 1:
        name += f', {run.folder.relative_to(method.folder)}'
    kept = bags.save(folder / 'features.npz')
    picture = plot_features(
        bags,
        folder / f'features_{options.projection}.png',
        options.projection,
        f'{name}: features of the test videos',
        run.class_counts(tuple(bags.classes)),
    )
    return [picture, kept]
