"""Draws the apex frames of every emotion on one picture, to look at."""

from __future__ import annotations

import argparse

import cv2
import numpy as np

from .action_units import EMOTIONS
from .clip import ClipSpec, clip_units, render_clip
from .difficulty import get_difficulty


def contact_sheet(
    num_people: int = 6,
    size: int = 128,
    seed: int = 0,
    difficulty: str | float = 'medium',
) -> np.ndarray:
    """One row an emotion, one column a person; clips differ in nothing else.

    Args:
        num_people (int): Columns. Defaults to 6.
        size (int): Width and height of a face. Defaults to 128.
        seed (int): Seed of the faces. Defaults to 0.
        difficulty (str | float): As of the set. Defaults to ``'medium'``.

    Returns:
        np.ndarray: Image, (7 * size, num_people * size, 3), uint8, BGR.
    """
    knobs = get_difficulty(difficulty)
    rows = []
    for emotion in EMOTIONS:
        row = []
        for person in range(num_people):
            spec = ClipSpec(person + 1, (emotion,), person, 0)
            level = clip_units(spec, seed, 'dfew', knobs).sum(1)
            apex = np.flatnonzero(level >= 0.99 * level.max())
            frames = render_clip(spec, seed, 'dfew', size, knobs)
            row.append(frames[apex[len(apex) // 2]])
        rows.append(np.hstack(row))
    return np.vstack(rows)


def main() -> None:
    """Write the picture to the path on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', help='picture to write')
    parser.add_argument('--people', type=int, default=6)
    parser.add_argument('--size', type=int, default=128)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--difficulty', default='medium')
    args = parser.parse_args()
    sheet = contact_sheet(args.people, args.size, args.seed, args.difficulty)
    if not cv2.imwrite(args.out, sheet):
        parser.error(f'cannot write {args.out}')


if __name__ == '__main__':
    main()
