"""How all pictures look: fonts, colours, order of the classes, files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from micacl_mm.records.board import head_to_tail as leaderboard_order
from micacl_mm.utils.files import replacing

#: Colours that the colour-blind tell apart (Okabe and Ito, 2008; grey for
#: their black, and no yellow, which is hard to see on white). In the order of
#: our classes: Happy, Sad, Neutral, Angry, Surprise, Disgust, Fear.
COLORS = (
    '#E69F00',
    '#0072B2',
    '#8C8C8C',
    '#D55E00',
    '#56B4E9',
    '#009E73',
    '#CC79A7',
)
MARKERS = 'os^DvPX'
#: Colours of methods side by side (Tol's muted ones), none of them a class's.
METHOD_COLORS = (
    '#BBBBBB',
    '#332288',
    '#44AA99',
    '#DDCC77',
    '#882255',
    '#88CCEE',
    '#117733',
    '#CC6677',
    '#999933',
    '#AA4499',
)
INK, FAINT = '#222222', '#D9D9D9'

_RC = {
    'font.family': 'DejaVu Sans',  # comes with matplotlib
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

#: Decorator and context in which the pictures are drawn.
drawing = matplotlib.rc_context(_RC)


def mark_of(index: int) -> dict[str, str]:
    """Colour and marker of a class or method, for ever the same.

    Args:
        index (int): Its number. Colours repeat after seven; colour and marker
            together after forty-nine.
    """
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

    Args:
        classes (Sequence[str]): Names of the K classes.
        counts (Sequence[float], optional): Training clips of each. Defaults
            to None: the order on the leaderboard, or that of ``classes``
            where they are others.
        dataset (str, optional): Its name on the leaderboard. Defaults to
            None, as DFEW.

    Returns:
        list[int]: K indices into ``classes``.
    """
    if counts is not None:
        return sorted(range(len(classes)), key=lambda i: -counts[i])
    known = leaderboard_order(dataset or 'dfew')
    if set(classes) == set(known):
        return [list(classes).index(name) for name in known]
    return list(range(len(classes)))


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Open a figure (inches) with one plot; it needs no display."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.add_subplot()


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG whole or not at all."""
    with replacing(path) as part:
        figure.savefig(part, dpi=150, format='png')
    return path
