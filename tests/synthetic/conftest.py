"""Grey clips, where it does not matter what is drawn."""

import numpy as np
import pytest

from micacl_mm.synthetic import writer
from micacl_mm.synthetic.clip import clip_layout


def paint(clip, seed, layout, size, knobs):
    """As many frames as of a drawn clip."""
    length, _ = clip_layout(clip, seed, layout)
    levels = np.random.default_rng([seed, clip.clip_id]).integers(256, size=99)
    return [np.full((size, size, 3), k, np.uint8) for k in levels[:length]]


@pytest.fixture(scope='module')
def grey_clips():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, 'render_clip', paint)
        yield
