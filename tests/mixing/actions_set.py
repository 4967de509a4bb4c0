"""A long-tailed set of drawn actions in MMAction2's own form."""

from pathlib import Path

import cv2
import numpy as np

#: Ways that a square goes: falls, rises, crosses. No mirror image of one of
#: them is another.
STEPS = ((0, 1), (0, -1), (1, 0))
SIZE, FRAMES, SIDE = 64, 20, 12  # decord fails on a width of 48


def write_clip(path: Path, label: int, rng: np.random.Generator) -> None:
    """Draw a square on its way from one edge to the other."""
    fourcc = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), fourcc, 25, (SIZE, SIZE))
    assert writer.isOpened()
    room = SIZE - SIDE
    step = np.array(STEPS[label])
    across = int(rng.integers(room))
    colour = rng.integers(150, 256, 3).tolist()
    for time in np.linspace(0, room, FRAMES):
        at = np.where(step > 0, time, np.where(step < 0, room - time, across))
        x, y = at.round().astype(int).tolist()
        picture = np.full((SIZE, SIZE, 3), 40, np.uint8)
        cv2.rectangle(picture, (x, y), (x + SIDE, y + SIDE), colour, -1)
        writer.write(picture)
    writer.release()


def write_actions(root: Path, **splits: tuple[int, ...]) -> None:
    """Write videos and lists; each split names its clips of each class."""
    rng = np.random.default_rng(0)
    for split, counts in splits.items():
        Path(root, 'videos', split).mkdir(parents=True)
        lines = []
        for label, count in enumerate(counts):
            for number in range(count):
                name = f'{split}/{label}_{number}.mp4'
                write_clip(Path(root, 'videos', name), label, rng)
                lines.append(f'{name} {label}\n')
        Path(root, f'{split}.txt').write_text(''.join(lines))
