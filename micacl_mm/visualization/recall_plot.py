"""Recall per class from head to tail, methods side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from micacl_mm.records.row_checks import CLASSES
from micacl_mm.records.statistics import Interval, interval, replicates

from .result import Result, check_comparable
from .style import (
    INK,
    METHOD_COLORS,
    drawing,
    head_to_tail,
    mark_of,
    new_axes,
    save,
)

#: With more classes their names are turned and the figures left out.
_CROWDED = 12


def recall_intervals(results: Sequence[Result]) -> dict[str, Interval]:
    """Mean and 95 % interval of each metric over the runs of a method.

    Args:
        results (Sequence[Result]): Tests of runs that differ in nothing but
            fold and seed, see :func:`check_alike`.

    Returns:
        dict[str, Interval]: ``UAR``, ``WAR`` and ``recall/<class>``, in
        [0, 1]. A class without a test clip is left out.
    """
    runs = [(r.record.get('fold'), r.record.get('seed')) for r in results]
    metrics = [result.metrics() for result in results]
    found = {}
    for name in metrics[0]:
        values = [
            (*run, figures[name])
            for run, figures in zip(runs, metrics, strict=True)
            if figures[name] == figures[name]  # nan: no clip of the class
        ]
        if values:
            found[name] = interval(replicates(values))
    return found


@drawing
def plot_recall(
    methods: Mapping[str, Sequence[Result]],
    path: Path,
    counts: Optional[Sequence[float]] = None,
) -> Path:
    """Draw the recall of each class, classes with most clips first.

    One method is drawn in the colours of the classes, several in colours of
    their own. Lines on the bars are 95 % intervals over folds or seeds, where
    there are several.

    Args:
        methods (Mapping[str, Sequence[Result]]): Label -> tests of its runs.
        path (Path): PNG to write.
        counts (Sequence[float], optional): Training clips of each class.
            Defaults to None, which stands for the order of FERV39k on that set
            and of DFEW on others.

    Returns:
        Path: The written file.

    Raises:
        ValueError: The methods have different classes, or were not tested on
            the same clips, see :func:`check_comparable`.
    """
    everything = [result for runs in methods.values() for result in runs]
    if len({result.classes for result in everything}) != 1:
        raise ValueError(
            'methods side by side must have the same classes; plot them one '
            'by one'
        )
    check_comparable(methods.values())
    classes = everything[0].classes
    dataset = everything[0].record.get('dataset')
    order = head_to_tail(classes, counts, dataset)
    figure, axes = new_axes(_width(len(order), len(methods)), 4.0)
    for index, (label, runs) in enumerate(methods.items()):
        recalls = recall_intervals(runs)
        text = _caption(label, recalls['UAR'], len(runs))
        colors = [METHOD_COLORS[index % len(METHOD_COLORS)]] * len(order)
        if len(methods) == 1:
            axes.set_title(text)
            colors = [mark_of(k)['color'] for k in order]
        axes.bar(0, 0, color=colors[0], label=text)
        means = [recalls.get(f'recall/{classes[k]}') for k in order]
        _draw_bars(axes, means, colors, index, len(methods))
    _label_axes(axes, classes, order, counts)
    axes.set_xlabel(_name_order(classes, counts, dataset))
    if any(len(runs) > 1 for runs in methods.values()):
        axes.set_ylabel('recall, % (lines: 95 % interval)')
    if len(methods) > 1:
        figure.legend(loc='outside upper left', ncols=2)
    return save(figure, path)


def _width(classes: int, methods: int) -> float:
    """Inches for so many bars; matplotlib can draw no more than 100 wide."""
    least, bar = (0.22, 0.05) if classes > _CROWDED else (1.1, 0.16)
    return min(100, max(6.4, classes * max(least, bar * methods)))


def _label_axes(
    axes: Axes,
    classes: Sequence[str],
    order: Sequence[int],
    counts: Optional[Sequence[float]],
) -> None:
    crowded = len(order) > _CROWDED
    names = [classes[k] for k in order]
    if counts:
        space = ' ' if crowded else '\n'
        names = [f'{classes[k]}{space}{counts[k]:,.0f}' for k in order]
    turned = dict(rotation=90, fontsize=8) if crowded else {}
    axes.set_xticks(range(len(order)), names, **turned)
    axes.tick_params(axis='x', length=0)
    axes.set_ylabel('recall, %')
    axes.set(xlim=(-0.5, len(order) - 0.5), ylim=(0, 100))
    axes.grid(axis='y')


def _name_order(
    classes: Sequence[str],
    counts: Optional[Sequence[float]],
    dataset: Optional[str],
) -> str:
    if counts:
        return 'classes from head to tail (number of training clips)'
    if set(classes) == set(CLASSES):
        name = 'FERV39k' if dataset == 'ferv39k' else 'DFEW'
        return f"classes from head to tail (in {name}'s order)"
    return 'classes (their training clips are not known)'


def _caption(label: str, uar: Interval, runs: int) -> str:
    text = f'{label}: UAR {100 * uar.mean:.1f}'
    if uar.half_width is not None:
        text += f' ± {100 * uar.half_width:.1f}'
    return f'{text}, {runs} runs' if runs > 1 else text


def _draw_bars(
    axes: Axes,
    recalls: Sequence[Optional[Interval]],
    colors: Sequence[str],
    index: int,
    total: int,
) -> None:
    """Add the bars of method ``index`` out of ``total``."""
    width = 0.84 / total
    shift = (index - (total - 1) / 2) * width
    for place, (recall, color) in enumerate(zip(recalls, colors, strict=True)):
        x = place + shift
        if recall is None:
            axes.text(x, 1, 'no clip', ha='center', va='bottom', rotation=90)
            continue
        axes.bar(x, 100 * recall.mean, width=0.94 * width, color=color)
        numbered = total <= 2 and len(recalls) <= _CROWDED
        _draw_interval(axes, x, recall, total, numbered)


def _draw_interval(
    axes: Axes, x: float, recall: Interval, total: int, numbered: bool
) -> None:
    """Add the interval of a bar and, if wanted, its height in figures."""
    repeated = recall.half_width is not None
    mean, half = 100 * recall.mean, 100 * (recall.half_width or 0)
    halo = [withStroke(linewidth=2.5, foreground='white')]
    if repeated:
        line = [max(0, mean - half), min(100, mean + half)]
        bold = 1.6 if total <= 4 else 0.9
        axes.plot([x, x], line, INK, linewidth=bold, path_effects=halo)
    if numbered:
        axes.annotate(
            f'{mean:.0f}' if repeated else f'{mean:.1f}',
            (x, mean),
            xytext=(3 if repeated else 0, 1.5),
            textcoords='offset points',
            ha='left' if repeated else 'center',
            fontsize=8.5,
            path_effects=halo,
        )
