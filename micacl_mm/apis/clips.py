"""What can be predicted on: videos, folders of frames, arrays."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional, Union

import cv2
import numpy as np

from micacl_mm.datasets.images import decode_image
from micacl_mm.errors import ConfigError, DataError
from micacl_mm.utils.folders import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    find_clips,
    list_frames,
)
from micacl_mm.utils.video import ClipError, check_file, open_video

#: Of clips that do not say, frames a second.
DEFAULT_FPS = 25.0

Source = Union[str, os.PathLike, np.ndarray]


@dataclass
class Clip:
    """Frames with their times."""

    path: str  # for errors; the name of an array
    name: str  # for people and files
    #: Gives a frame by its number; of a video fast in ascending order only.
    read: Callable[[int], np.ndarray]
    seconds: np.ndarray  # start of each frame, (T,), from 0
    duration: float  # in seconds, with that of the last frame

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def fps(self) -> float:
        """Frames a second, on average."""
        return len(self) / self.duration

    def frame(self, index: int) -> np.ndarray:
        """One frame, (H, W, 3) RGB uint8; ClipError if it is damaged."""
        try:
            return self.read(index)
        except DataError as error:
            raise ClipError(error.problem, error.cure) from None
        except Exception:  # as many kinds of errors as libraries
            raise ClipError(
                f'{self.path}: frame {index} of {len(self)} cannot be read',
                'the file is damaged, get a whole copy',
            ) from None


def open_clip(
    source: Source, name: str = 'array', fps: Optional[float] = None
) -> Clip:
    """Open a video, a folder of frames or an array (T, H, W, 3), RGB, uint8.

    ``name`` is that of an array, ``fps`` that of folders and arrays.

    Raises:
        ClipError: It cannot be read.
    """
    fps = DEFAULT_FPS if fps is None else fps
    if isinstance(source, np.ndarray):
        return _open_array(source, name, fps)
    path = os.fspath(source)
    try:
        if os.path.isdir(path):
            return _open_folder(path, fps)
        return _open_video(path)
    except OSError as error:
        raise ClipError(
            f'{path}: cannot be read, {error.strerror or error}'
        ) from None


def _open_video(path: str) -> Clip:
    """A video file, read as the test pipelines read it."""
    check_file(path)
    try:
        reader = open_video(path)
        count = len(reader)
    except Exception as error:  # decord raises RuntimeError and others
        raise ClipError(_why_no_video(path, error)) from None
    if not count:
        raise ClipError(f'{path}: the video has no frame')
    times = np.asarray(reader.get_frame_timestamp(range(count)))
    seconds, end = times[:, 0] - times[0, 0], float(times[-1, 1] - times[0, 0])
    if np.any(np.diff(seconds) <= 0) or end <= seconds[-1]:
        rate = reader.get_avg_fps() or DEFAULT_FPS  # broken time stamps
        seconds, end = np.arange(count) / rate, count / rate

    def read(index: int) -> np.ndarray:
        return reader.get_batch([index]).asnumpy()[0]

    return Clip(path, Path(path).stem, read, seconds, end)


def _why_no_video(path: str, error: Exception) -> str:
    if 'cannot find video stream' in str(error):
        return f'{path}: there is no picture in it, only sound perhaps'
    if cv2.haveImageReader(path):
        return f'{path}: this is an image; give a video or a folder of frames'
    return f'{path}: this is no video that can be read'


def _open_folder(path: str, fps: float) -> Clip:
    """A folder of images, taken in the natural order of their names."""
    files = list_frames(path)
    if not files:
        raise ClipError(
            f'{path}: neither videos ({", ".join(VIDEO_SUFFIXES)}) nor images '
            f'({", ".join(IMAGE_SUFFIXES)}) in this folder'
        )
    for file in files:
        if not os.path.getsize(os.path.join(path, file)):
            raise ClipError(f'{os.path.join(path, file)}: empty image file')

    def read(index: int) -> np.ndarray:
        file = Path(path, files[index])
        return decode_image(file.read_bytes(), str(file))

    seconds, end = np.arange(len(files)) / fps, len(files) / fps
    return Clip(path, Path(path).name, read, seconds, end)


def _open_array(array: np.ndarray, name: str, fps: float) -> Clip:
    shaped = array.ndim == 4 and array.shape[-1] == 3 and 0 not in array.shape
    if not shaped or array.dtype != np.uint8:
        raise ClipError(
            f'{name}: an array must be RGB of shape (T, H, W, 3) and type '
            f'uint8, 0 to 255, got {array.shape} of {array.dtype}'
        )
    seconds, end = np.arange(len(array)) / fps, len(array) / fps
    return Clip(name, name, array.__getitem__, seconds, end)


class FrameReader:
    """Reads frames that bags share once each, in ascending order.

    A frame is kept until the last bag that needs it has it.
    """

    def __init__(self, clip: Clip, bags: Iterable[np.ndarray]) -> None:
        self.clip = clip
        self._uses = Counter(n for bag in bags for n in np.unique(bag))
        self._ahead = sorted(self._uses, reverse=True)
        self._kept: dict[int, np.ndarray] = {}

    def take(self, bag: np.ndarray) -> list[np.ndarray]:
        """The frames of one of the bags, in its order."""
        while self._ahead and self._ahead[-1] <= bag.max():
            number = self._ahead[-1]
            self._kept[number] = self.clip.frame(int(number))
            self._ahead.pop()
        images = [self._kept[number].copy() for number in bag]
        self._uses.subtract(np.unique(bag))
        for number in np.unique(bag):
            if not self._uses[number]:
                del self._kept[number]
        return images


def list_clips(inputs: Union[Source, Sequence[Source]]) -> list[Source]:
    """Name the clips of an input, those of folders in natural order.

    Of a folder the videos and the folders of frames in it and below are
    taken; one that holds nothing but images is a clip itself. A folder
    without any clip stays in the list, and fails when it is opened.
    """
    if isinstance(inputs, (list, tuple)):
        return [clip for part in inputs for clip in list_clips(part)]
    if not isinstance(inputs, (str, os.PathLike, np.ndarray)):
        raise TypeError(
            'a clip is a path or an array (T, H, W, 3), got '
            f'{type(inputs).__name__}'
        )
    if isinstance(inputs, np.ndarray) or not os.path.isdir(inputs):
        return [inputs]
    root = os.fspath(inputs)
    return [clip.path for clip in find_clips(root)] or [root]


class Window(NamedTuple):
    """A stretch of a clip, in seconds."""

    start: float
    end: float
    frames: np.ndarray  # numbers of the frames that begin in it, (T',)


def check_windows(
    length: Optional[float], stride: Optional[float]
) -> Optional[float]:
    """Check the windows' length and return their stride, by default half."""
    if length is None:
        return None
    stride = length / 2 if stride is None else stride
    if not 0 < stride <= length:
        raise ConfigError(
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
    """Cut a clip into windows by the times (T,) of its frames.

    Windows start at 0, ``stride``, 2 ``stride`` and so on; the last one is
    moved to end with the clip, so that nothing is left out. A window in which
    no frame begins (a gap in a variable frame rate) has no frames. A clip not
    longer than ``length`` is one window.
    """
    numbers = np.arange(len(seconds))
    if length is None or duration <= length:
        return [Window(0.0, float(duration), numbers)]
    # A billionth less, or rounding would make a last window twice.
    count = int(np.ceil((duration - length) / stride - 1e-9)) + 1
    windows = []
    for step in range(count):
        start = min(step * stride, duration - length)
        first, last = np.searchsorted(seconds, [start, start + length])
        windows.append(Window(start, start + length, numbers[first:last]))
    return windows
