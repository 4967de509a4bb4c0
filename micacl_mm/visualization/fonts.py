"""Fonts that have the letters of class names in any script."""

import warnings
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text


def font_for(text: str) -> str:
    """Find the file of an installed font with all letters of a text.

    DejaVu Sans, which comes with matplotlib, where that has them; also, with
    a warning, where none has.
    """
    return _font_for(frozenset(map(ord, ''.join(text.split()))))


@lru_cache
def _font_for(letters: frozenset) -> str:
    default = font_manager.findfont('DejaVu Sans')
    if letters <= _letters(default):
        return default
    letters |= set(range(33, 127))
    fonts = [
        ((font.style, font.weight) != ('normal', 400), font.name, font.fname)
        for font in font_manager.fontManager.ttflist
        if 'LastResort' not in font.fname  # has boxes for all letters
    ]
    for *_, path in sorted(fonts):
        if letters <= _letters(path):
            return path
    lacking = ''.join(map(chr, sorted(letters - _letters(default))))
    warnings.warn(
        f'no installed font has {lacking[:20]!r}: such letters are drawn as '
        'boxes. Fix: install one, such as fonts-noto-cjk',
        stacklevel=2,
    )
    return default


def _letters(path: str) -> set:
    try:
        return set(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):  # removed since, or no font
        return set()


def fit_fonts(figure: Figure) -> None:
    """Give the texts of a figure fonts that have their letters."""
    for axes in figure.axes:  # ticks get their labels when asked for them
        axes.get_xticklabels()
        axes.get_yticklabels()
    for text in figure.findobj(Text):
        path = font_for(text.get_text().replace('$', ''))
        if path != font_for(''):
            text.get_fontproperties().set_file(path)
