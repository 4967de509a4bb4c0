"""A photograph with one face, moved and scaled as a test wants it."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

#: Where the face lies in the photograph of 512 x 512 pixels, by eye: from
#: the hairline to the chin and from temple to temple.
FACE = (182, 58, 270, 178)
GREY = 120


@cache
def portrait():
    """Photograph of Eileen Collins (NASA), that lies inside scikit-image."""
    return pytest.importorskip('skimage.data').astronaut()


def paste(frame, x, y, side):
    """Put the portrait, made so large, with its corner at (x, y)."""
    height, width = frame.shape[:2]
    matrix = np.array([[side / 512, 0, x], [0, side / 512, y]])
    shrunk = cv2.GaussianBlur(portrait(), (0, 0), 0.4 * 512 / side)
    return cv2.warpAffine(
        shrunk,
        matrix,
        (width, height),
        dst=frame.copy(),
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def grey(height, width):
    return np.full((height, width, 3), GREY, np.uint8)


def face_at(x, y, side):
    """Box of the face of a pasted portrait."""
    return np.array(FACE) * side / 512 + [x, y, x, y]


def moving_clip(length=8, height=192, width=256, side=180, absent=()):
    """Frames of a portrait that goes right and down; their face boxes."""
    frames, boxes = [], []
    for t in range(length):
        x, y = 4.0 * t, 1.5 * t
        empty = grey(height, width)
        frames.append(empty if t in absent else paste(empty, x, y, side))
        boxes.append(face_at(x, y, side))
    return frames, np.stack(boxes)


class DotDetector:
    """Finds white boxes on grey that do not touch: fast and exact."""

    def __call__(self, frame):
        found = []
        white = (frame > 200).all(-1)
        count, labels = cv2.connectedComponents(white.astype(np.uint8))
        for label in range(1, count):
            y, x = np.nonzero(labels == label)
            found.append([x.min(), y.min(), x.max() + 1, y.max() + 1, 1])
        return np.array(found, np.float32).reshape(-1, 5)


def dots(boxes, height=64, width=96):
    """A grey frame with white boxes of whole pixels."""
    frame = grey(height, width)
    for x1, y1, x2, y2 in np.array(boxes, int).reshape(-1, 4):
        frame[y1:y2, x1:x2] = 255
    return frame


def write_video(path, frames, fps=25):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    fourcc = cv2.VideoWriter_fourcc(*'mp4v')
    if path.suffix == '.avi':
        fourcc = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_images(folder, frames, names=None):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = names or [f'{t + 1:05d}.png' for t in range(len(frames))]
    for name, frame in zip(names, frames, strict=True):
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        assert cv2.imwrite(str(folder / name), bgr)
    return folder
