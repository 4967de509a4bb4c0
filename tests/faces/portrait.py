"""A photograph with one face, moved and scaled as a test wants it."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import sets

#: Where the face lies in the photograph of 512 x 512 pixels, by eye: from
#: the hairline to the chin and from temple to temple.
FACE = (182, 58, 270, 178)


@cache
def portrait():
    """Photograph of Eileen Collins (NASA), that lies inside scikit-image."""
    return pytest.importorskip('skimage.data').astronaut()


def paste(frame, x, y, side):
    """Put the portrait, made so large, with its corner at (x, y)."""
    height, width = frame.shape[:2]
    matrix = np.array([[side / 512, 0, x], [0, side / 512, y]])
    return cv2.warpAffine(
        cv2.GaussianBlur(portrait(), (0, 0), 0.4 * 512 / side),
        matrix,
        (width, height),
        dst=frame.copy(),
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def grey(height, width):
    return np.full((height, width, 3), 120, np.uint8)


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
        white = (frame > 200).all(-1).astype(np.uint8)
        found = cv2.connectedComponentsWithStats(white)[2][1:, :4]
        found[:, 2:] += found[:, :2]
        return np.pad(found.astype(np.float32), ((0, 0), (0, 1)))


def dots(boxes, height=64, width=96):
    """A grey frame with white boxes of whole pixels."""
    frame = grey(height, width)
    for x1, y1, x2, y2 in np.array(boxes, int).reshape(-1, 4):
        frame[y1:y2, x1:x2] = 255
    return frame


def write_video(path, frames, fps=25):
    """Write RGB frames as mp4."""
    sets.write_video(path, [frame[..., ::-1].copy() for frame in frames], fps)
    return Path(path)


def write_images(folder, frames):
    """Write RGB frames as 00001.png, 00002.png, .."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames, 1):
        assert cv2.imwrite(f'{folder}/{t:05d}.png', frame[..., ::-1])
    return Path(folder)
