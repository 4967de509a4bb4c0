"""Pictures of runs: confusion matrix, recalls, learning curves, features."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from micacl_mm.apis.features import BagFeatures
from micacl_mm.records import board
from micacl_mm.records.rows import CLASSES
from micacl_mm.records.statistics import Interval, metric_intervals
from micacl_mm.utils.files import replacing

from .fonts import fit_fonts
from .runs import Result, Scalars, check_comparable

#: Colours for colour-blind readers (Okabe and Ito, 2008), in the order of our
#: classes: Happy, Sad, Neutral, Angry, Surprise, Disgust, Fear.
COLORS = (
    *('#E69F00', '#0072B2', '#8C8C8C', '#D55E00'),
    *('#56B4E9', '#009E73', '#CC79A7'),
)
MARKERS = 'os^DvPX'
#: Colours of methods side by side (Tol's muted ones), none of them a class's.
METHOD_COLORS = (
    *('#BBBBBB', '#332288', '#44AA99', '#DDCC77', '#882255'),
    *('#88CCEE', '#117733', '#CC6677', '#999933', '#AA4499'),
)
_METRIC_COLORS = {'UAR': METHOD_COLORS[4], 'WAR': METHOD_COLORS[1]}
INK, FAINT = '#222222', '#D9D9D9'
#: With more classes their names are turned and the figures left out.
_CROWDED = 12

#: Decorator and context in which the pictures are drawn.
drawing = matplotlib.rc_context(
    {
        'font.size': 10,
        'axes.titlesize': 11,
        'axes.titlelocation': 'left',
        'axes.spines.top': False,
        'axes.spines.right': False,
        'axes.edgecolor': '#8C8C8C',
        'axes.labelcolor': INK,
        'axes.axisbelow': True,
        'text.color': INK,
        'xtick.color': INK,
        'ytick.color': INK,
        'grid.color': FAINT,
        'grid.linewidth': 0.8,
        'legend.frameon': False,
    }
)


def mark_of(index: int) -> dict[str, str]:
    """Colour and marker of a class; the pair repeats after 49 classes."""
    turn = index // len(COLORS)
    return dict(
        color=COLORS[index % len(COLORS)],
        marker=MARKERS[(index + turn) % len(MARKERS)],
    )


def head_to_tail(
    classes: Sequence[str],
    counts: Optional[Sequence[float]] = None,
    dataset: Optional[str] = None,
) -> list[int]:
    """Order classes by their training clips, most of them first.

    Without ``counts`` it is the order of the set, as its record names it,
    else DFEW's; or the given one for other classes.

    Returns:
        list[int]: K indices into ``classes``.
    """
    if counts is not None:
        return sorted(range(len(classes)), key=lambda i: -counts[i])
    known = board.head_to_tail(dataset or 'dfew')
    if set(classes) == set(known):
        return [list(classes).index(name) for name in known]
    return list(range(len(classes)))


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Open a figure (inches) with one plot; it needs no display."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.add_subplot()


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, PDF or SVG by its suffix, whole or not at all.

    Frames within PDF and SVG are of 300 dpi.
    """
    suffix = path.suffix[1:].lower() or 'png'
    fit_fonts(figure)
    with replacing(path) as part, warnings.catch_warnings():
        # Of letters that no font has; said once, with the cure.
        warnings.filterwarnings('ignore', message='Glyph ')
        dpi = 150 if suffix == 'png' else 300
        figure.savefig(part, dpi=dpi, format=suffix)
    return path


@drawing
def plot_confusion(results: Sequence[Result], path: Path) -> Path:
    """Draw the summed confusion matrices, in percent of each true class."""
    matrix = sum(result.matrix for result in results).numpy()
    percent = 100 * matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    classes = results[0].classes
    size = max(4.0, 0.65 * len(classes))
    figure, axes = new_axes(size + 1, size)
    form = '.0f' if len(classes) <= 2 * _CROWDED else ''
    image = draw_matrix(axes, percent, classes, 100, form)
    figure.colorbar(image, shrink=0.8)
    turned = 45 if len(classes) <= _CROWDED else 90
    axes.tick_params(axis='x', rotation=turned)
    axes.set(xlabel='predicted', ylabel='true')
    axes.set_title('percent of each true class')
    return save(figure, path)


def draw_matrix(
    axes: Axes,
    values: np.ndarray,
    names: Sequence,
    largest: float,
    form: str = '',
) -> AxesImage:
    """Draw a square matrix from 0 to ``largest``, with figures by ``form``."""
    image = axes.imshow(values, cmap='Blues', vmin=0, vmax=largest)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    for (row, column), value in np.ndenumerate(values) if form else ():
        color = 'white' if value > 0.5 * largest else INK
        center = dict(ha='center', va='center', color=color)
        axes.text(column, row, f'{value:{form}}', **center)
    return image


def _intervals(results: Sequence[Result]) -> dict[str, Interval]:
    return metric_intervals(
        (
            ((r.record.get('fold'), r.record.get('seed')), r.matrix)
            for r in results
        ),
        results[0].classes,
    )


@drawing
def plot_recall(
    methods: Mapping[str, Sequence[Result]],
    path: Path,
    counts: Optional[Sequence[float]] = None,
) -> Path:
    """Draw the recall of each class, the largest class first.

    One method is drawn in the colours of the classes, several in colours of
    their own. Lines on the bars are 95 % intervals over folds or seeds.

    Args:
        methods (Mapping[str, Sequence[Result]]): Label -> tests of its runs.
        path (Path): PNG, PDF or SVG to write.
        counts (Sequence[float], optional): Training clips of each class.

    Raises:
        ValueError: The methods are not comparable, see
            :func:`~.runs.check_comparable`.
    """
    check_comparable([*methods.values()])
    first = next(iter(methods.values()))[0]
    classes, dataset = first.classes, first.record.get('dataset')
    order = head_to_tail(classes, counts, dataset)
    crowded, total = len(order) > _CROWDED, len(methods)
    bar, least = (0.05, 0.22) if crowded else (0.16, 1.1)
    width = min(100, max(6.4, len(order) * max(least, bar * total)))
    figure, axes = new_axes(width, 4.0)
    for index, (label, runs) in enumerate(methods.items()):
        recalls = _intervals(runs)
        text = _caption(label, recalls['UAR'], len(runs))
        colors = [METHOD_COLORS[index % len(METHOD_COLORS)]] * len(order)
        if total == 1:
            axes.set_title(text)
            colors = [mark_of(k)['color'] for k in order]
        axes.bar(0, 0, color=colors[0], label=text)
        shift = 0.84 * (index - (total - 1) / 2) / total
        for place, k in enumerate(order):
            recall = recalls.get(f'recall/{classes[k]}')
            _draw_recall(axes, place + shift, recall, colors[place], total)
    names = [classes[k] for k in order]
    if counts is not None:
        space = ' ' if crowded else '\n'
        names = [f'{classes[k]}{space}{counts[k]:,.0f}' for k in order]
    turned = dict(rotation=90, fontsize=8) if crowded else {}
    axes.set_xticks(range(len(order)), names, **turned)
    axes.tick_params(axis='x', length=0)
    axes.set(xlim=(-0.5, len(order) - 0.5), ylim=(0, 100))
    axes.grid(axis='y')
    repeated = any(len(runs) > 1 for runs in methods.values())
    axes.set_ylabel('recall, %' + ' (95 % interval)' * repeated)
    known = counts is not None or set(classes) == set(CLASSES)
    axes.set_xlabel('classes' + ', largest first' * known)
    if total > 1:
        figure.legend(loc='outside upper left', ncols=2)
    return save(figure, path)


def _caption(label: str, uar: Interval, runs: int) -> str:
    text = f'{label}: UAR {100 * uar.mean:.1f}'
    if uar.half_width is not None:
        text += f' ± {100 * uar.half_width:.1f}'
    return f'{text}, {runs} runs' if runs > 1 else text


def _draw_recall(
    axes: Axes, x: float, recall: Optional[Interval], color: str, total: int
) -> None:
    if recall is None:
        axes.text(x, 1, 'no clip', ha='center', va='bottom', rotation=90)
        return
    mean = 100 * recall.mean
    halo = [withStroke(linewidth=2.5, foreground='white')]
    axes.bar(x, mean, width=0.79 / total, color=color)
    if recall.half_width is not None:
        half = 100 * recall.half_width
        line = [max(0, mean - half), min(100, mean + half)]
        axes.plot([x, x], line, INK, linewidth=1.4, path_effects=halo)
    elif total <= 2:
        axes.annotate(
            f'{mean:.1f}',
            (x, mean),
            xytext=(0, 1.5),
            textcoords='offset points',
            ha='center',
            fontsize=8.5,
            path_effects=halo,
        )


@drawing
def plot_curves(
    runs: Sequence[Scalars],
    path: Path,
    title: str = '',
    tested: Optional[float] = None,
) -> Path:
    """Draw losses, UAR and WAR on the validation split, and rates.

    A dotted line marks ``tested``, the epoch of the tested checkpoint.
    """
    losses = {name for run in runs for name in run.losses}
    # Their sum, 'loss', would repeat the greatest term.
    losses = losses - {'loss'} or losses
    rates = {name for run in runs for name in run.rates}
    panels = [('losses', name) for name in sorted(losses)]
    panels += [('metrics', '')] * any(run.metrics for run in runs)
    panels += [('rates', name) for name in sorted(rates)]
    figure = Figure(
        figsize=(7.2, 0.9 + 1.45 * len(panels)), layout='constrained'
    )
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    look = dict(linewidth=1.6) if len(runs) == 1 else dict(alpha=0.6)
    for axes, (kind, name) in zip(rows, panels, strict=True):
        names = ('UAR', 'WAR') if kind == 'metrics' else (name,)
        for which in names:
            label = which
            color = _METRIC_COLORS.get(which, INK)
            for run in runs:
                x, y = getattr(run, kind).get(which, ([], []))
                y = [100 * value for value in y] if kind == 'metrics' else y
                few = '.' if len(x) <= 30 else None
                axes.plot(x, y, color=color, marker=few, label=label, **look)
                label = None
        axes.set_title('learning rate' if name == 'lr' else name)
        if kind == 'metrics':
            axes.set_title('UAR and WAR of each validation, %')
            axes.set_ylim(0, 100)
            axes.legend(loc='lower right', ncols=2)
        axes.grid(axis='y')
        if tested is not None:
            axes.axvline(tested, color=INK, linewidth=0.8, linestyle=':')
    note = '' if tested is None else ' (dotted: the tested checkpoint)'
    rows[-1].set_xlabel(f'{runs[0].unit}{note}')
    rows[-1].set_xlim(left=0)
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, x=0.01, ha='left', fontsize=12)
    return save(figure, path)


def project(features: np.ndarray, method: str = 'pca') -> np.ndarray:
    """Lay features (N, C) out in the plane, (N, 2).

    ``method`` is ``'pca'`` or ``'tsne'`` (seeded, started from the PCA).

    Raises:
        ValueError: Too few videos or channels, features that are all equal,
            or values that are not finite.
        ImportError: t-SNE without scikit-learn.
    """
    if features.ndim != 2 or min(features.shape) < 2:
        raise ValueError(
            'features: at least two videos and two channels are needed, got '
            f'an array of {features.shape}'
        )
    if not np.isfinite(features).all() or not np.ptp(features, axis=0).any():
        raise ValueError(
            'features: they are not finite or all equal, the model has not '
            'learned; use another checkpoint'
        )
    if method == 'pca':
        centred = features.astype(np.float64) - features.mean(axis=0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        return u[:, :2] * s[:2]
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ImportError(
            't-SNE needs scikit-learn: pip install scikit-learn'
        ) from None
    # It must be below the number of videos; 30 is scikit-learn's own.
    perplexity = min(30, (len(features) - 1) / 3)
    return TSNE(
        perplexity=perplexity, init='pca', random_state=0
    ).fit_transform(features)


@drawing
def plot_features(
    bags: BagFeatures,
    path: Path,
    method: str = 'pca',
    title: str = '',
    counts: Optional[Sequence[float]] = None,
) -> Path:
    """Draw each video as a point in the colour of its true class.

    The legend is in the order of ``counts``, training clips of each class.
    """
    points = project(bags.features, method)
    # With more classes, marks repeat and a legend would tell nothing.
    columns = -(-len(bags.classes) // 20) if len(bags.classes) <= 49 else 0
    figure, axes = new_axes(4.9 + 1.7 * columns, 4.8)
    for rank, k in enumerate(head_to_tail(bags.classes, counts)):
        mine = points[bags.labels == k]
        axes.scatter(
            *mine.T,
            s=22,
            **mark_of(k),
            alpha=0.85,
            edgecolors='white',
            linewidths=0.4,
            zorder=2 + rank / 100,  # rare classes on top
            label=f'{bags.classes[k]} ({len(mine)})' if len(mine) else None,
        )
    axes.set_aspect('equal', adjustable='datalim')
    axes.set(xticks=[], yticks=[], title=title)
    axes.set_xlabel('PCA' if method == 'pca' else 't-SNE')
    axes.spines[:].set(visible=True, color=FAINT)
    if columns:
        figure.legend(
            loc='outside right upper',
            markerscale=1.5,
            handletextpad=0.2,
            ncols=columns,
            title='true class (clips)',
        )
    return save(figure, path)
