"""Emotions as action units, their course in a clip, and its frames.

The prototypes follow the Facial Action Coding System and its emotion table
(EMFACS); the mean intensities are ours, chosen by eye.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from micacl_mm.errors import ConfigError

from .face import FacePainter
from .scene import Difficulty, draw_identity, draw_scene

EMOTIONS = (
    'Happy',
    'Sad',
    'Neutral',
    'Angry',
    'Surprise',
    'Disgust',
    'Fear',
)

ACTION_UNITS = {
    1: 'inner brow raiser',
    2: 'outer brow raiser',
    4: 'brow lowerer',
    5: 'upper lid raiser',
    6: 'cheek raiser',
    7: 'lid tightener',
    9: 'nose wrinkler',
    10: 'upper lip raiser',
    12: 'lip corner puller',
    15: 'lip corner depressor',
    16: 'lower lip depressor',
    17: 'chin raiser',
    20: 'lip stretcher',
    23: 'lip tightener',
    25: 'lips part',
    26: 'jaw drop',
}
UNIT_INDEX = {unit: index for index, unit in enumerate(ACTION_UNITS)}


@dataclass(frozen=True)
class Recipe:
    """Action units of one emotion."""

    core: dict[int, float]  # unit to mean intensity, nearly always there
    extra: dict[int, tuple[float, float]]  # unit to (chance, intensity)


RECIPES = {
    'Happy': Recipe({6: 0.9, 12: 1.0}, {25: (0.6, 0.8)}),
    'Sad': Recipe({1: 1.0, 4: 0.7, 15: 1.0}, {17: (0.5, 0.7)}),
    'Neutral': Recipe({}, {}),
    'Angry': Recipe({4: 1.0, 5: 0.6, 7: 0.7, 23: 1.0}, {17: (0.3, 0.5)}),
    'Surprise': Recipe({1: 0.9, 2: 1.0, 5: 0.9, 26: 1.0, 25: 0.7}, {}),
    'Disgust': Recipe({9: 1.0, 10: 0.9, 15: 0.6}, {16: (0.6, 0.8)}),
    'Fear': Recipe(
        {1: 1.0, 2: 0.6, 4: 0.8, 5: 1.0, 20: 1.0, 25: 0.9, 26: 0.45}, {}
    ),
}


# Those of the benchmark's version 1, which never change.
_LEVELS = {
    # knob: easy, medium, hard
    'intensity_low': (0.9, 0.75, 0.4),
    'intensity_high': (1.0, 1.0, 0.9),
    'missing': (0.0, 0.06, 0.2),
    'crosstalk': (0.05, 0.12, 0.3),
    'apex_low': (0.4, 0.25, 0.15),
    'apex_high': (0.6, 0.45, 0.3),
    'pose': (6.0, 10.0, 15.0),
    'shift': (0.1, 0.12, 0.15),
    'light': (0.3, 0.6, 1.0),
    'occlusion': (0.05, 0.15, 0.35),
    'blur': (0.4, 0.7, 1.2),
    'noise': (4.0, 7.0, 14.0),
    'speech': (0.2, 0.35, 0.6),
}
LEVELS = {
    level: Difficulty(**{knob: row[i] for knob, row in _LEVELS.items()})
    for i, level in enumerate(('easy', 'medium', 'hard'))
}


def draw_units(
    emotions: tuple[str, ...],
    rng: np.random.Generator,
    knobs: Difficulty,
) -> np.ndarray:
    """Draw the apex intensities of a clip; several emotions blend."""
    # All random numbers are drawn whatever the emotion, so that clips differ
    # by their recipe alone.
    num = len(ACTION_UNITS)
    peak = rng.uniform(knobs.intensity_low, knobs.intensity_high)
    spread = rng.uniform(0.85, 1.15, num)
    missing = rng.random(num) < knobs.missing
    chance = rng.random(num)
    # Squared: most foreign units are faint, a few come near the limit.
    foreign = knobs.crosstalk * rng.random(num) ** 2
    units = np.zeros(num)
    for emotion in emotions:
        recipe = RECIPES[emotion]
        for unit, mean in recipe.core.items():
            index = UNIT_INDEX[unit]
            if not missing[index]:
                units[index] += mean / len(emotions)
        for unit, (share, mean) in recipe.extra.items():
            index = UNIT_INDEX[unit]
            if chance[index] < share:
                units[index] += mean / len(emotions)
    return np.clip(np.maximum(peak * spread * units, foreign), 0, 1)


def activation_curve(
    num_frames: int, rng: np.random.Generator, knobs: Difficulty
) -> np.ndarray:
    """Course of an expression: zero, onset, apex at one, offset, zero."""
    apex = rng.uniform(knobs.apex_low, knobs.apex_high) * num_frames
    onset, offset = rng.uniform(0.06, 0.12, 2) * num_frames
    apex = max(apex, 1.0)
    rest = max(num_frames - 1 - apex - onset - offset, 0.0)
    begin = rng.uniform(0, 1) * rest
    time, end = np.arange(num_frames), begin + onset + apex
    ramp = np.interp(time, [begin, begin + onset, end], [0.0, 1.0, 1.0])
    fall = np.interp(time, [end, end + offset], [1.0, 0.0])
    linear = np.minimum(ramp, fall)
    return linear * linear * (3 - 2 * linear)  # muscles start and stop softly


def draw_course(
    emotions: tuple[str, ...],
    num_frames: int,
    rng: np.random.Generator,
    knobs: Difficulty,
) -> list[dict[int, float]]:
    """Draw the intensity of each unit in each frame."""
    curve = activation_curve(num_frames, rng, knobs)
    units = curve[:, None] * draw_units(emotions, rng, knobs)
    return [
        dict(zip(ACTION_UNITS, row, strict=True)) for row in units.tolist()
    ]


STORY = ('Happy', 'Surprise', 'Angry', 'Sad')


@dataclass(frozen=True)
class ClipSpec:
    """What makes a clip, whoever draws it and in whatever order."""

    clip_id: int  # the key of its random streams
    emotions: tuple[str, ...]  # one; two where annotators differ
    identity: int  # number of the person
    group: int  # of persons, 0 to 4, that is tested together
    extra: bool = False  # whether it only tops a test split up
    name: str = ''  # path below the folder of frames; of DFEW the number


def stream(seed: int, purpose: int, key: int) -> np.random.Generator:
    """Random numbers of one purpose (0 to 4 for clips, 11 to 14 stories)."""
    return np.random.default_rng([seed, purpose, key])


def draw_length(layout: str, rng: np.random.Generator) -> int:
    """Draw a clip's number of frames, shaped like the real set's."""
    normal, chance, short = rng.normal(), rng.random(), rng.integers(11, 16)
    if layout == 'ferv39k':
        return int(np.clip(28 + 10 * normal, 8, 47))
    # Rarer in the real set (14 of 11,697), where they still need handling.
    if chance < 0.025:
        return int(short)
    return int(np.clip(30 * np.exp(0.25 * normal), 16, 64))


def draw_numbers(num_frames: int, rng: np.random.Generator) -> list[int]:
    """Draw frame numbers, with gaps now and then where no face was found."""
    begin, length = rng.integers(1, num_frames, 2)
    length = 1 + length % 3
    has_gap = rng.random() < 0.15 and num_frames > 16
    gap = range(begin, begin + length) if has_gap else ()
    return [i + 1 for i in range(num_frames) if i not in gap]


def clip_layout(
    spec: ClipSpec, seed: int, layout: str
) -> tuple[int, list[int]]:
    """Length of a clip and the numbers of the frames in its folder."""
    rng = stream(seed, 0, spec.clip_id)
    num_frames = draw_length(layout, rng)
    return num_frames, draw_numbers(num_frames, rng)


def render_clip(
    spec: ClipSpec, seed: int, layout: str, size: int, knobs: Difficulty
) -> list[np.ndarray]:
    """Draw all frames of a clip, (size, size, 3), uint8, BGR.

    Length, person, scene and expression have streams of their own, so that
    a change of the emotion changes nothing else. The length is that of a
    clip in ``layout``.
    """
    num_frames, _ = clip_layout(spec, seed, layout)
    who = draw_identity(stream(seed, 1, spec.identity))
    scene = draw_scene(num_frames, stream(seed, 2, spec.clip_id), knobs)
    units = draw_course(
        spec.emotions, num_frames, stream(seed, 3, spec.clip_id), knobs
    )
    painter = FacePainter(who, scene, size, stream(seed, 4, spec.clip_id))
    return [painter.frame(index, row) for index, row in enumerate(units)]


def render_story(
    emotions: Sequence[str] = STORY,
    seed: int = 0,
    size: int = 480,
    frames_each: int = 50,
    zoom: float = 0.85,
) -> Iterator[np.ndarray]:
    """Draw a person who shows one emotion after the other, from farther away.

    As the clips of the set in its easy level, at the size at which detectors
    trained on photographs find drawn faces; the person is none of a set's,
    and moves slowly through the picture. A zoom of 1 fills the frame.

    Yields:
        np.ndarray: Images (size, size, 3), uint8, BGR.
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
    units = [
        row
        for name in emotions
        for row in draw_course((name,), frames_each, rng, knobs)
    ]
    painter = FacePainter(
        draw_identity(stream(seed, 11, 0)),
        replace(scene, pose=pose),
        size,
        stream(seed, 14, 0),
        scale=zoom,
    )
    for index, row in enumerate(units):
        yield painter.frame(index, row)
