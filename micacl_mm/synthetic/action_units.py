"""Emotions as recipes of facial action units, their course and strength.

The prototypes follow the Facial Action Coding System and its emotion table
(EMFACS); the mean intensities are ours, chosen by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    """Action units of one emotion.

    Args:
        core (dict[int, float]): Unit to mean intensity, nearly always there.
        extra (dict[int, tuple[float, float]]): Unit to (chance, intensity).
    """

    core: dict[int, float]
    extra: dict[int, tuple[float, float]]


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


@dataclass(frozen=True)
class Difficulty:
    """Strength of the expression and of everything that hides it.

    Args:
        intensity_low (float): Weakest peak of a clip's expression.
        intensity_high (float): Strongest peak of a clip's expression.
        missing (float): Chance that an action unit of the recipe stays away.
        crosstalk (float): Highest intensity of units that do not belong.
        apex_low (float): Shortest apex as a share of the clip.
        apex_high (float): Longest apex as a share of the clip.
        pose (float): Spread of yaw in degrees; pitch and roll follow.
        shift (float): Spread of the crop's offset in half image widths.
        light (float): Strength of gain, gradient and colour of the light.
        occlusion (float): Chance of something standing before the face.
        blur (float): Largest blur in pixels of a 64 px frame.
        noise (float): Largest standard deviation of the noise, of 255.
        speech (float): Chance that the mouth talks for part of the clip.
    """

    intensity_low: float
    intensity_high: float
    missing: float
    crosstalk: float
    apex_low: float
    apex_high: float
    pose: float
    shift: float
    light: float
    occlusion: float
    blur: float
    noise: float
    speech: float


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
    """Draw the apex intensities of a clip.

    Several emotions blend with equal shares, as in clips on which the
    annotators do not agree. All random numbers are drawn whatever the
    emotion, so that clips differ by their recipe alone.
    """
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
    time = np.arange(num_frames)
    ramp = np.interp(
        time,
        [begin, begin + onset, begin + onset + apex],
        [0.0, 1.0, 1.0],
    )
    fall = np.interp(
        time,
        [begin + onset + apex, begin + onset + apex + offset],
        [1.0, 0.0],
    )
    linear = np.minimum(ramp, fall)
    return linear * linear * (3 - 2 * linear)  # muscles start and stop softly


def unit_dict(units: np.ndarray) -> dict[int, float]:
    """Name the entries of an intensity vector by their action unit."""
    return dict(zip(ACTION_UNITS, units.tolist(), strict=True))
