"""Windows in time that slide over a long clip."""

from typing import NamedTuple, Optional

import numpy as np


class Window(NamedTuple):
    """A stretch of a clip.

    Attributes:
        start (float): In seconds.
        end (float): In seconds.
        frames (np.ndarray): Numbers of the frames that begin in it, (T',).
    """

    start: float
    end: float
    frames: np.ndarray


def check_windows(
    length: Optional[float], stride: Optional[float]
) -> Optional[float]:
    """Return the stride, half of ``length`` if None.

    Raises:
        ValueError: As in :func:`cut_windows`.
    """
    if length is None:
        return None
    stride = length / 2 if stride is None else stride
    if not 0 < stride <= length:
        raise ValueError(
            'window and stride must be positive seconds and stride not above '
            f'window, got {length} and {stride}'
        )
    return stride


def cut_windows(
    seconds: np.ndarray,
    duration: float,
    length: Optional[float] = None,
    stride: Optional[float] = None,
) -> list[Window]:
    """Cut a clip into windows by the times of its frames.

    Windows start at 0, ``stride``, 2 ``stride`` and so on; the last one is
    moved to end with the clip, so that nothing is left out. A window in which
    no frame begins (a gap in a variable frame rate) has no frames.

    Args:
        seconds (np.ndarray): Start of each frame, rising, (T,).
        duration (float): Of the clip, in seconds.
        length (float, optional): Of a window, in seconds. Defaults to None,
            the whole clip, as for a clip that is not longer.
        stride (float, optional): From start to start, in seconds. Defaults to
            None, half of ``length``.

    Raises:
        ValueError: ``length`` or ``stride`` is not positive, or the windows
            would leave gaps.
    """
    stride = check_windows(length, stride)
    numbers = np.arange(len(seconds))
    if length is None or duration <= length:
        return [Window(0.0, float(duration), numbers)]
    # A billionth less, or rounding would make a last window twice.
    count = int(np.ceil((duration - length) / stride - 1e-9)) + 1
    windows = []
    for step in range(count):
        start = min(step * stride, duration - length)
        first, last = np.searchsorted(seconds, [start, start + length])
        window = Window(start, start + length, numbers[first:last])
        windows.append(window)
    return windows
