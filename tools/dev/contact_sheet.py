"""Draw the apex frames of every emotion on one picture, to look at.

Each column is one clip of one person, drawn under each emotion in turn, at
the same moment. Without sensor noise, which no picture file can compress.
"""

import argparse
from dataclasses import replace

import cv2
import numpy as np

from micacl_mm.synthetic import (
    EMOTIONS,
    LEVELS,
    ClipSpec,
    Difficulty,
    clip_units,
    render_clip,
)
from micacl_mm.synthetic.clip import clip_scene

LAYOUT = 'dfew'


def clear_apex(clip: ClipSpec, seed: int, knobs: Difficulty) -> int | None:
    """A frame of the apex in which nobody blinks or talks, if there is one."""
    scene = clip_scene(clip, seed, LAYOUT, knobs)
    level = clip_units(clip, seed, LAYOUT, knobs).sum(1)
    idle = (scene.blink <= 0) & (scene.speech == 0).all(1)
    frames = np.flatnonzero((level >= 0.99 * level.max()) & idle)
    return int(frames[len(frames) // 2]) if len(frames) else None


def contact_sheet(
    num_people: int = 5,
    size: int = 128,
    seed: int = 0,
    difficulty: str = 'medium',
) -> np.ndarray:
    """One row an emotion, one column a person; clips differ in nothing else.

    Args:
        num_people (int): Columns. Defaults to 5.
        size (int): Width and height of a face. Defaults to 128.
        seed (int): Seed of the faces. Defaults to 0.
        difficulty (str): As of the set. Defaults to ``'medium'``.

    Returns:
        np.ndarray: Image, (7 * size, num_people * size, 3), uint8, BGR.
    """
    knobs = replace(LEVELS[difficulty], noise=0.0)
    columns = []
    number = 0
    while len(columns) < num_people:
        number += 1
        clips = [ClipSpec(number, (name,), number, 0) for name in EMOTIONS]
        frame = clear_apex(clips[0], seed, knobs)
        if frame is not None:
            drawn = [render_clip(c, seed, LAYOUT, size, knobs) for c in clips]
            columns.append(np.vstack([frames[frame] for frames in drawn]))
    return np.hstack(columns)


def main() -> None:
    """Write the picture to the path on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', help='picture to write')
    parser.add_argument('--people', type=int, default=5)
    parser.add_argument('--size', type=int, default=128)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--difficulty', choices=list(LEVELS), default='medium')
    args = parser.parse_args()
    sheet = contact_sheet(args.people, args.size, args.seed, args.difficulty)
    if not cv2.imwrite(args.out, sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        parser.error(f'cannot write {args.out}')


if __name__ == '__main__':
    main()
