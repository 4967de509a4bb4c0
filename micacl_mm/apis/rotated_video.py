"""Videos that a phone has filmed sideways and marked as turned.

decord turns their frames, and garbles the rows of some, small ones above all.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

_KEPT = 16  # frames, for instances that overlap
_LOOKED_AT = (0, 24)  # frames that are compared
#: Two decoders differ by a level or two of 255.
_TOLERANCE = 8.0


def is_garbled(path: str, frames: Sequence[Any]) -> bool:
    """Whether decord has the frames of a turned video wrong.

    Args:
        path (str): The file.
        frames (decord.VideoReader): The same file, open.
    """
    capture = cv2.VideoCapture(path)
    turned = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
    capture.release()
    if not turned:
        return False
    upright = RotatedVideo(path)
    for index in _LOOKED_AT:
        if index < len(frames):
            one, other = frames[index].asnumpy(), upright[index]
            if one.shape != other.shape:
                return True
            if np.abs(one.astype(np.int16) - other).mean() > _TOLERANCE:
                return True
    return False


class RotatedVideo:
    """A video file as an array of upright frames, read as they are asked for.

    Meant for ``ArrayDecode``: ``video[i]`` is frame i, (H, W, 3) RGB uint8.
    Frames are read one after the other, since seeking lands beside the
    wanted frame in many files; going back starts anew.

    Args:
        path (str): The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._recent: OrderedDict[int, np.ndarray] = OrderedDict()
        self._open()

    def _open(self) -> None:
        self._capture = cv2.VideoCapture(self.path)
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._next = 0

    def __getitem__(self, index: int) -> np.ndarray:
        index = int(index)
        if index in self._recent:
            return self._recent[index]
        if index < self._next:
            self._open()
        while self._next < index and self._capture.grab():
            self._next += 1
        read, image = self._capture.read()
        if not read:
            raise IndexError(f'{self.path}: frame {index} cannot be read')
        self._next += 1
        self._recent[index] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if len(self._recent) > _KEPT:
            self._recent.popitem(last=False)
        return self._recent[index]
