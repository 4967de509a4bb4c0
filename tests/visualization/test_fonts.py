"""Letters of any script, where an installed font has them."""

import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from micacl_mm.visualization import fonts
from micacl_mm.visualization.annotated_video import draw_box
from micacl_mm.visualization.fonts import font_for
from micacl_mm.visualization.plots import plot_confusion

from .helpers import result_of
from .test_annotated_video import predict

CLASSES = ('\u9ad8\u5174', '\u60b2\u4f24', '\u4e2d\u6027')


@pytest.fixture
def install(monkeypatch):
    """Have no font but matplotlib's own and those that are made here."""
    own = [
        font
        for font in font_manager.fontManager.ttflist
        if 'mpl-data' in font.fname
    ]
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', own)
    fonts._font_for.cache_clear()
    yield make_font
    fonts._font_for.cache_clear()


def make_font(path, letters):
    """A font whose letters are full squares."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for place in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(place)
    pen.closePath()
    names = {ord(k): f'g{ord(k)}' for k in letters}
    order = ['.notdef', *names.values()]
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(order, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (1000, 0)))
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable(dict(familyName=path.stem, styleName='Regular'))
    builder.setupOS2(sTypoAscender=1000, usWinAscent=1000)
    builder.setupPost()
    builder.save(path)
    font_manager.fontManager.addfont(path)
    return str(path)


ASCII = ''.join(map(chr, range(32, 127)))


@pytest.mark.parametrize('text', [*CLASSES, '\ud589\ubcf5', '\u0b86'])
def test_a_font_that_has_the_letters_is_chosen(install, text, tmp_path):
    install(tmp_path / 'half.ttf', ASCII + text[1:])
    install(tmp_path / 'bare.ttf', text)  # without figures
    whole = install(tmp_path / 'whole.ttf', ASCII + text)
    assert font_for(text) == whole


def test_letters_that_no_font_has_are_said_once(install):
    with pytest.warns(UserWarning, match='no installed font has.*Fix: inst'):
        font_for(CLASSES[0])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert font_for(CLASSES[0]) == font_for('')


def test_pictures_and_videos_use_it(install, tmp_path, monkeypatch):
    path = install(tmp_path / 'cjk.ttf', ASCII + ''.join(CLASSES))
    figures, write = [], Figure.savefig
    monkeypatch.setattr(
        Figure,
        'savefig',
        lambda self, *args, **kw: (
            figures.append(self) or write(self, *args, **kw)
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # also matplotlib's, of a glyph
        plot_confusion(
            [result_of([[1, 0, 0]] * 3, CLASSES)], tmp_path / 'a.svg'
        )
    labels = figures[0].axes[0].get_xticklabels()
    assert {k.get_fontproperties().get_file() for k in labels} == {path}
    # Squares as high as letters, in the label of a box.
    page = Image.new('RGB', (200, 100))
    prediction = predict((0.1, 0.9), face=1)
    prediction.classes = CLASSES[:2]
    box = np.array([10, 40, 60, 90.0])
    draw_box(
        ImageDraw.Draw(page), prediction, box, np.array([0.1, 0.9]), (100, 200)
    )
    white = (np.asarray(page) == 255).all(-1)
    assert white.sum() > 3 * 15 * 15
