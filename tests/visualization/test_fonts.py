"""Letters of any script, where an installed font has them."""

import warnings

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from micacl_mm.visualization import fonts
from micacl_mm.visualization.annotated_video import draw_box
from micacl_mm.visualization.fonts import font_for
from micacl_mm.visualization.plots import plot_confusion

from .helpers import result_of
from .test_annotated_video import predict

CHINESE = '\u9ad8\u5174'


def letters(path):
    return set(font_manager.get_font(path).get_charmap())


@pytest.fixture(autouse=True)
def _own_fonts(monkeypatch):
    """Have no fonts but those that come with matplotlib."""
    own = [
        font
        for font in font_manager.fontManager.ttflist
        if 'mpl-data' in font.fname
    ]
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', own)
    fonts._font_for.cache_clear()
    yield
    fonts._font_for.cache_clear()


@pytest.fixture
def names():
    """Three names in letters that STIX has, and the default font has not."""
    found = letters(font_manager.findfont('STIXGeneral'))
    found -= letters(font_for(''))
    found = [chr(k) for k in sorted(found) if chr(k).isprintable()]
    assert len(found) >= 6
    return [''.join(found[k : k + 2]) for k in (0, 2, 4)]


def test_a_font_that_has_the_letters_is_chosen(names):
    for name in names:
        path = font_for(name)
        assert path != font_for('')
        assert {*map(ord, name), *range(33, 127)} <= letters(path)


def test_letters_that_no_font_has_are_said_once():
    with pytest.warns(UserWarning, match='no installed font has.*Fix: inst'):
        font_for(CHINESE)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert font_for(CHINESE) == font_for('')


def test_pictures_and_videos_use_it(names, tmp_path, monkeypatch):
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
        plot_confusion([result_of([[1, 0, 0]] * 3, names)], tmp_path / 'a.svg')
    labels = figures[0].axes[0].get_xticklabels()
    used = [k.get_fontproperties().get_file() for k in labels]
    assert used == [*map(font_for, names)]
    # Another name of the class is another label of the box.
    pages = []
    for classes in (names, names[1:], [CHINESE, CHINESE]):
        page = Image.new('RGB', (200, 100))
        prediction = predict((0.1, 0.9), face=1)
        prediction.classes = tuple(classes[:2])
        box, scores = np.array([10, 40, 60, 90.0]), np.array([0.1, 0.9])
        draw_box(ImageDraw.Draw(page), prediction, box, scores, (100, 200))
        pages.append(page.tobytes())
    assert len({*pages}) == 3
