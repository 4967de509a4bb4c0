"""The one table of what makes a drawn clip easy or hard."""

from __future__ import annotations

from dataclasses import dataclass


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


LEVELS = {
    'easy': Difficulty(
        intensity_low=0.9,
        intensity_high=1.0,
        missing=0.0,
        crosstalk=0.05,
        apex_low=0.4,
        apex_high=0.6,
        pose=6.0,
        shift=0.1,
        light=0.3,
        occlusion=0.05,
        blur=0.4,
        noise=4.0,
        speech=0.2,
    ),
    'medium': Difficulty(
        intensity_low=0.75,
        intensity_high=1.0,
        missing=0.06,
        crosstalk=0.12,
        apex_low=0.25,
        apex_high=0.45,
        pose=10.0,
        shift=0.12,
        light=0.6,
        occlusion=0.15,
        blur=0.7,
        noise=7.0,
        speech=0.35,
    ),
    'hard': Difficulty(
        intensity_low=0.4,
        intensity_high=0.9,
        missing=0.2,
        crosstalk=0.3,
        apex_low=0.15,
        apex_high=0.3,
        pose=15.0,
        shift=0.15,
        light=1.0,
        occlusion=0.35,
        blur=1.2,
        noise=14.0,
        speech=0.6,
    ),
}


def get_difficulty(level: str | Difficulty) -> Difficulty:
    """Look a level up.

    Args:
        level (str | Difficulty): ``'easy'``, ``'medium'``, ``'hard'``, or
            knobs of one's own.

    Returns:
        Difficulty: The knobs.
    """
    if isinstance(level, Difficulty):
        return level
    if level not in LEVELS:
        raise ValueError(
            f'make_synthetic: difficulty must be one of {", ".join(LEVELS)} '
            f'or a Difficulty, got {level!r}'
        )
    return LEVELS[level]
