"""What can be predicted on: video files, folders of frames, arrays."""

import os
from abc import ABCMeta, abstractmethod
from pathlib import Path
from typing import Optional, Union

import cv2
import mmcv
import numpy as np
from mmaction.utils import ConfigType

from micacl_mm.datasets.layouts import FrameNames
from micacl_mm.utils.folders import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    list_frames,
)

from .rotated_video import RotatedVideo, is_garbled

#: Of clips that do not say, frames a second.
DEFAULT_FPS = 25.0

Source = Union[str, os.PathLike, np.ndarray]


class ClipError(ValueError):
    """A clip that cannot be predicted on; the message says why."""


class Clip(metaclass=ABCMeta):
    """Frames with their times.

    Attributes:
        name (str): For people and files.
        path (str): For errors; the name of an array.
        seconds (np.ndarray): Start of each frame in seconds, (T,), from 0.
        duration (float): In seconds, with that of the last frame.
        fps (float): Frames a second, on average.
        decode (dict): The stock transform that reads the frames.
    """

    name: str
    path: str
    decode: ConfigType

    def set_times(self, seconds: np.ndarray, duration: float) -> None:
        """Note the times of the frames."""
        self.seconds, self.duration = seconds, duration
        self.fps = len(seconds) / duration

    def __len__(self) -> int:
        return len(self.seconds)

    @abstractmethod
    def info(self) -> dict:
        """What the stock decoding transform wants to know."""

    @abstractmethod
    def frame(self, index: int) -> np.ndarray:
        """One frame, (H, W, 3) RGB uint8."""


def _even_times(frames: int, fps: float) -> tuple[np.ndarray, float]:
    return np.arange(frames) / fps, frames / fps


class VideoClip(Clip):
    """A video file, read as the test pipelines read it (decord).

    Args:
        path (str): The file.

    Raises:
        ClipError: It is no video with at least one frame.
    """

    def __init__(self, path: Union[str, os.PathLike]) -> None:
        self.path = os.fspath(path)
        self.name = Path(path).stem
        _check_file(self.path)
        import decord  # not everybody who reads frames has it

        try:
            self._reader = decord.VideoReader(self.path, num_threads=1)
        except Exception as error:  # decord raises RuntimeError and others
            raise ClipError(_why_no_video(self.path, error)) from None
        count = len(self._reader)
        if not count:
            raise ClipError(f'{self.path}: the video has no frame')
        times = np.asarray(self._reader.get_frame_timestamp(range(count)))
        rate = self._reader.get_avg_fps() or DEFAULT_FPS
        self.set_times(*_clean_times(times, rate))
        self._rotated: Optional[RotatedVideo] = None
        self.decode = dict(type='DecordDecode')
        if is_garbled(self.path, self._reader):
            self._rotated = RotatedVideo(self.path)
            self.decode = dict(type='ArrayDecode')

    def info(self) -> dict:
        """The open reader, or the turned frames."""
        if self._rotated is not None:
            return dict(array=self._rotated)
        return dict(video_reader=self._reader)

    def frame(self, index: int) -> np.ndarray:
        """One frame, (H, W, 3) RGB uint8."""
        if self._rotated is not None:
            return self._rotated[index]
        return self._reader[index].asnumpy()


class FrameFolderClip(Clip):
    """A folder of images, taken in the natural order of their names.

    Args:
        path (str): The folder.
        fps (float): Frames a second, for the times. Defaults to 25.

    Raises:
        ClipError: There is no image, or an empty one.
    """

    decode = dict(type='RawFrameDecode')

    def __init__(
        self, path: Union[str, os.PathLike], fps: float = DEFAULT_FPS
    ) -> None:
        self.path = os.fspath(path)
        self.name = Path(path).name
        self.files = list_frames(self.path)
        if not self.files:
            raise ClipError(
                f'{self.path}: neither videos ({", ".join(VIDEO_SUFFIXES)}) '
                f'nor images ({", ".join(IMAGE_SUFFIXES)}) in this folder'
            )
        for file in self.files:
            if not os.path.getsize(os.path.join(self.path, file)):
                raise ClipError(
                    f'{os.path.join(self.path, file)}: empty image file'
                )
        self.set_times(*_even_times(len(self.files), fps))

    def info(self) -> dict:
        """Folder and names of the frames."""
        return dict(frame_dir=self.path, filename_tmpl=FrameNames(self.files))

    def frame(self, index: int) -> np.ndarray:
        """One frame, (H, W, 3) RGB uint8."""
        path = os.path.join(self.path, self.files[index])
        data = Path(path).read_bytes()
        try:
            image = mmcv.imfrombytes(data, channel_order='rgb', backend='cv2')
        except cv2.error:
            image = None
        if image is None:
            raise ClipError(f'{path}: no image that can be read')
        return image


class ArrayClip(Clip):
    """Frames in memory.

    Args:
        array (np.ndarray): shape (T, H, W, 3), RGB, uint8.
        name (str): Defaults to ``'array'``.
        fps (float): Frames a second, for the times. Defaults to 25.

    Raises:
        ClipError: Another shape or type.
    """

    decode = dict(type='ArrayDecode')

    def __init__(
        self, array: np.ndarray, name: str = 'array', fps: float = DEFAULT_FPS
    ) -> None:
        if array.ndim != 4 or array.shape[-1] != 3 or 0 in array.shape:
            raise ClipError(
                f'{name}: an array must be of shape (T, H, W, 3), got '
                f'{array.shape}'
            )
        if array.dtype != np.uint8:
            raise ClipError(
                f'{name}: an array must hold RGB of type uint8, 0 to 255, got '
                f'{array.dtype}; convert it'
            )
        self.name = self.path = name
        self.array = array
        self.set_times(*_even_times(len(array), fps))

    def info(self) -> dict:
        """The array."""
        return dict(array=self.array)

    def frame(self, index: int) -> np.ndarray:
        """One frame, (H, W, 3) RGB uint8."""
        return self.array[index]


def open_clip(
    source: Source, name: str = 'array', fps: Optional[float] = None
) -> Clip:
    """Open a video, a folder of frames or an array.

    Args:
        source (str, PathLike or ndarray): One clip.
        name (str): Of an array. Defaults to ``'array'``.
        fps (float, optional): Of folders and arrays. Defaults to None, 25.

    Raises:
        ClipError: It cannot be read.
    """
    fps = DEFAULT_FPS if fps is None else fps
    if isinstance(source, np.ndarray):
        return ArrayClip(source, name, fps)
    try:
        if os.path.isdir(source):
            return FrameFolderClip(source, fps)
        return VideoClip(source)
    except OSError as error:
        raise ClipError(
            f'{source}: cannot be read, {error.strerror or error}'
        ) from None


def _check_file(path: str) -> None:
    if not os.path.exists(path):
        raise ClipError(f'{path}: there is no such file or folder')
    if not os.access(path, os.R_OK):
        raise ClipError(f'{path}: may not be read; check its permissions')
    if not os.path.getsize(path):
        raise ClipError(f'{path}: the file is empty')


def _why_no_video(path: str, error: Exception) -> str:
    if 'cannot find video stream' in str(error):
        return f'{path}: there is no picture in it, only sound perhaps'
    if cv2.haveImageReader(path):
        return f'{path}: this is an image; give a video or a folder of frames'
    return f'{path}: this is no video that can be read'


def _clean_times(times: np.ndarray, fps: float) -> tuple[np.ndarray, float]:
    """Starts of the frames from 0 on, and the end of the last."""
    starts, end = times[:, 0] - times[0, 0], times[-1, 1] - times[0, 0]
    if np.any(np.diff(starts) <= 0) or end <= starts[-1]:
        return _even_times(len(starts), fps)  # broken time stamps
    return starts, float(end)
