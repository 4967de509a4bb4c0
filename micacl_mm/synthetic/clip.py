"""From the specification of a clip to its frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .action_units import (
    Difficulty,
    activation_curve,
    draw_units,
    unit_dict,
)
from .face import FacePainter
from .scene import Scene, draw_identity, draw_scene


@dataclass(frozen=True)
class ClipSpec:
    """What makes a clip, whoever draws it and in whatever order.

    Args:
        clip_id (int): The key of the clip's random streams.
        emotions (tuple[str, ...]): One emotion; two where annotators differ.
        identity (int): Number of the person.
        group (int): Group of persons, 0 to 4, that is tested together.
        extra (bool): Whether the clip only tops a test split up.
        name (str): Path of the clip below the folder of frames; in DFEW's
            layout its number in the set.
    """

    clip_id: int
    emotions: tuple[str, ...]
    identity: int
    group: int
    extra: bool = False
    name: str = ''


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


def clip_scene(
    spec: ClipSpec, seed: int, layout: str, knobs: Difficulty
) -> Scene:
    """How a clip is filmed; see :func:`clip_units` for the arguments."""
    num_frames, _ = clip_layout(spec, seed, layout)
    return draw_scene(num_frames, stream(seed, 2, spec.clip_id), knobs)


def clip_units(
    spec: ClipSpec, seed: int, layout: str, knobs: Difficulty
) -> np.ndarray:
    """Intensities of the action units in each frame of a clip.

    Args:
        spec (ClipSpec): The clip.
        seed (int): Seed of the set.
        layout (str): ``'dfew'`` or ``'ferv39k'``, for the clip's length.
        knobs (Difficulty): The difficulty.

    Returns:
        np.ndarray: One row a frame, one column for each of
        ``ACTION_UNITS``, (T, 16).
    """
    num_frames, _ = clip_layout(spec, seed, layout)
    rng = stream(seed, 3, spec.clip_id)
    curve = activation_curve(num_frames, rng, knobs)
    return curve[:, None] * draw_units(spec.emotions, rng, knobs)


def render_clip(
    spec: ClipSpec, seed: int, layout: str, size: int, knobs: Difficulty
) -> list[np.ndarray]:
    """Draw all frames of a clip.

    Length, person, scene and expression have streams of their own, so that
    a change of the emotion changes nothing else.

    Args:
        spec (ClipSpec): The clip.
        seed (int): Seed of the set.
        layout (str): ``'dfew'`` or ``'ferv39k'``, for the clip's length.
        size (int): Width and height of the frames.
        knobs (Difficulty): The difficulty.

    Returns:
        list[np.ndarray]: Images (size, size, 3), uint8, BGR.
    """
    who = draw_identity(stream(seed, 1, spec.identity))
    scene = clip_scene(spec, seed, layout, knobs)
    units = clip_units(spec, seed, layout, knobs)
    painter = FacePainter(who, scene, size, stream(seed, 4, spec.clip_id))
    return [
        painter.frame(index, unit_dict(row)) for index, row in enumerate(units)
    ]
