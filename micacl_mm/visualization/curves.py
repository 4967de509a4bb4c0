"""Learning curves: losses, UAR and WAR on the validation split, rate."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .scalars import Scalars, Series
from .style import INK, METHOD_COLORS, drawing, save

#: Name -> colour, and where the name stands: UAR is nearly always lower.
_METRICS = {'UAR': (METHOD_COLORS[4], -7), 'WAR': (METHOD_COLORS[1], 2)}


@drawing
def plot_curves(
    runs: Sequence[Scalars],
    path: Path,
    title: str = '',
    tested: Optional[float] = None,
) -> Path:
    """Draw the history of one training, or of several of one method.

    Args:
        runs (Sequence[Scalars]): One a training.
        path (Path): PNG to write.
        title (str): Stands above. Defaults to ``''``.
        tested (float, optional): Epoch whose checkpoint was tested, marked by
            a line. Defaults to None.

    Returns:
        Path: The written file.
    """
    panels = _panels(runs)
    figure = Figure(
        figsize=(7.2, 0.9 + 1.45 * len(panels)), layout='constrained'
    )
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (kind, name) in zip(rows, panels, strict=True):
        if kind == 'metrics':
            _draw_metrics(axes, runs)
        else:
            found = [getattr(run, kind).get(name) for run in runs]
            _draw_lines(axes, found, INK)
            axes.set_title('learning rate' if name == 'lr' else name)
            _show_zero(axes)
        axes.grid(axis='y')
        if tested is not None:
            axes.axvline(tested, color=INK, linewidth=0.8, linestyle=':')
    note = '' if tested is None else ' (dotted: the tested checkpoint)'
    rows[-1].set_xlabel(f'{runs[0].unit}{note}')
    rows[-1].set_xlim(left=0)
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, x=0.01, ha='left', fontsize=12)
    return save(figure, path)


def _panels(runs: Sequence[Scalars]) -> list[tuple[str, str]]:
    """What stands one below the other, as field of Scalars and name."""
    losses = {name for run in runs for name in run.losses}
    # Their sum would repeat the greatest term.
    losses = losses - {'loss'} or losses
    rates = {name for run in runs for name in run.rates}
    return [
        *(('losses', name) for name in sorted(losses)),
        *([('metrics', '')] if any(run.metrics for run in runs) else []),
        *(('rates', name) for name in sorted(rates)),
    ]


def _draw_lines(
    axes: Axes, found: Sequence[Optional[Series]], color: str, scale: float = 1
) -> None:
    """One line a run; thinner where there are several."""
    look = dict(linewidth=1.6) if len(found) == 1 else dict(alpha=0.6)
    for series in found:
        if series:
            values = [scale * value for value in series.y]
            few = '.' if len(values) <= 30 else None
            axes.plot(series.x, values, color=color, marker=few, **look)


def _show_zero(axes: Axes) -> None:
    low, high = axes.dataLim.intervaly
    if math.isfinite(low) and math.isfinite(high):  # a loss may have diverged
        low, room = min(0, low), 0.06 * (high - min(0, low))
        axes.set_ylim(low and low - room, high + room or 1)


def _draw_metrics(axes: Axes, runs: Sequence[Scalars]) -> None:
    for name, (color, shift) in _METRICS.items():
        found = [run.metrics.get(name) for run in runs]
        _draw_lines(axes, found, color, scale=100)
        ends = [(s.x[-1], 100 * s.y[-1]) for s in found if s]
        if ends:
            axes.annotate(
                name,
                max(ends),
                xytext=(6, shift),
                textcoords='offset points',
                color=color,
                fontweight='bold',
                annotation_clip=False,
            )
    axes.set_title('UAR and WAR of each validation, %')
    axes.set_ylim(0, 100)
