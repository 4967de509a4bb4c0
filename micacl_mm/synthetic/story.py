"""One person who shows several expressions, from farther away."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from micacl_mm.errors import ConfigError

from .action_units import (
    EMOTIONS,
    LEVELS,
    activation_curve,
    draw_units,
    unit_dict,
)
from .clip import stream
from .face import FacePainter
from .scene import draw_identity, draw_scene

STORY = ('Happy', 'Surprise', 'Angry', 'Sad')


def render_story(
    emotions: Sequence[str] = STORY,
    seed: int = 0,
    size: int = 480,
    frames_each: int = 50,
    zoom: float = 0.85,
) -> Iterator[np.ndarray]:
    """Draw a video in which a face must first be found.

    As the clips of the set in its easy level, at the size at which detectors
    trained on photographs find drawn faces; the person is none of a set's,
    and moves slowly through the picture.

    Args:
        emotions (Sequence[str]): One after the other, of ``EMOTIONS``.
        seed (int): Person, scene and course. Defaults to 0.
        size (int): Width and height of a frame. Defaults to 480.
        frames_each (int): Frames of each expression. Defaults to 50.
        zoom (float): Size of the face, 1 fills the frame. Defaults to 0.85.

    Yields:
        np.ndarray: Images (size, size, 3), uint8, BGR.

    Raises:
        ConfigError: An unknown emotion, or none.
    """
    unknown = [name for name in emotions if name not in EMOTIONS]
    if unknown or not emotions:
        raise ConfigError(
            f'render_story: emotions must be some of {", ".join(EMOTIONS)}, '
            f'got {", ".join(emotions) or "none"}'
        )
    knobs = LEVELS['easy']
    count = frames_each * len(emotions)
    scene = draw_scene(count, stream(seed, 12, 0), knobs)
    pose = scene.pose.copy()
    turn = 2 * np.pi * np.arange(count) / count
    pose[:, 3] = 0.25 * np.sin(turn)
    pose[:, 4] = 0.1 * np.cos(turn)
    pose[:, 5] *= zoom
    rng = stream(seed, 13, 0)
    units = np.concatenate(
        [
            activation_curve(frames_each, rng, knobs)[:, None]
            * draw_units((emotion,), rng, knobs)
            for emotion in emotions
        ]
    )
    painter = FacePainter(
        draw_identity(stream(seed, 11, 0)),
        replace(scene, pose=pose),
        size,
        stream(seed, 14, 0),
        scale=zoom,
    )
    for index, row in enumerate(units):
        yield painter.frame(index, unit_dict(row))
