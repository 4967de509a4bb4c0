"""Video files: read upright, checked for missing bytes, written whole."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Optional

import cv2
import numpy as np

from micacl_mm.errors import DataError

_HEAD = 16  # bytes that hold the length of a part
#: So many fewer frames than announced are no matter.
_TOLERANCE = 2
_KEPT = 16  # frames of a turned video, for instances that overlap
#: Opens a file for frames of a size (width, height) and a rate; what it
#: yields takes them.
_Writer = Callable[
    [str, tuple[int, int], float],
    AbstractContextManager[Callable[[np.ndarray], None]],
]


class ClipError(DataError):
    """A clip that cannot be read; the message says which and why."""


# ---- reading


def read_video(path: str) -> Iterator[np.ndarray]:
    """Read the frames of a video in their order, upright.

    Phones film lying and mark the file as turned.

    Args:
        path (str): The file.

    Yields:
        np.ndarray: A frame, (H, W, 3), uint8, RGB.

    Raises:
        ClipError: There is no frame, or the file is cut off.
    """
    check_file(path)
    capture = _open(path)
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    count = 0
    try:
        while (found := capture.read())[0]:
            count += 1
            yield cv2.cvtColor(found[1], cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
    if not count:
        raise ClipError(
            f'{path}: no picture can be read from it: it is damaged, cut '
            'off, no video at all, or holds sound alone'
        )
    check_whole(path, count, announced)


def check_file(path: str) -> None:
    """Check that a file can be opened and is not empty.

    Raises:
        ClipError: It cannot be, or is.
    """
    if not os.path.exists(path):
        raise ClipError(f'{path}: there is no such file or folder')
    if not os.access(path, os.R_OK):
        raise ClipError(f'{path}: cannot be read', 'check its permissions')
    if not os.path.getsize(path):
        raise ClipError(f'{path}: the file is empty')


def check_whole(
    path: str, count: int, announced: Optional[int] = None
) -> None:
    """Check that a video file is not cut off.

    The announced number alone proves nothing: it counts what a trimmed file
    hides, and is a guess where frames or sound are of uneven length.

    Args:
        path (str): The file.
        count (int): Frames that can be read.
        announced (int, optional): Frames that it says it has, 0 if it does
            not say. Defaults to None, and the file is asked.

    Raises:
        ClipError: It ends too early.
    """
    if announced is None:
        capture = _open(path)
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
    short = announced <= 0 or count < announced - _TOLERANCE
    if short and is_cut_off(path):
        of = f'of the {announced} frames that it announces'
        raise ClipError(
            f'{path}: the file is cut off: {count} '
            f'{of if announced > 0 else "frames"} can be read',
            'get a whole copy',
        )


def turned_degrees(path: str) -> int:
    """By how many degrees a file says that its frames are to be turned."""
    capture = _open(path)
    degrees = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
    capture.release()
    return degrees


def _open(path: str) -> cv2.VideoCapture:
    # Any other backend takes a name with '%' for that of many images.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # not by itself, in 4.11
    return capture


class UprightVideo:
    """A video file as an array of upright frames, read on demand.

    For ``ArrayDecode``: ``video[i]`` is frame i, (H, W, 3), uint8, RGB.
    Frames are read one after the other, since seeking lands beside the
    wanted frame in many files; going back starts anew.

    Args:
        path (str): The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._restart()

    def _restart(self) -> None:
        self._frames = read_video(self.path)
        self._recent: dict[int, np.ndarray] = {}
        self._next = 0

    def __getitem__(self, index: int) -> np.ndarray:
        index = int(index)
        if index < self._next and index not in self._recent:
            self._restart()
        while index >= self._next:
            image = next(self._frames, None)
            if image is None:
                raise IndexError(f'{self.path}: frame {index} is not there')
            self._recent[self._next] = image
            self._recent.pop(self._next - _KEPT, None)
            self._next += 1
        return self._recent[index]


# ---- whether all bytes are there


def is_cut_off(path: str) -> bool:
    """Whether the last part of a video file ends beyond the file.

    Parts are the boxes of mp4, m4v and mov, the chunks of avi, and the
    elements of mkv and webm, each of which begins with its length.

    Args:
        path (str): The file.

    Returns:
        bool: False also where it cannot be told: of other files, and of
        streams that were written without a length.

    Raises:
        OSError: If the file cannot be read.
    """
    whole, end = os.path.getsize(path), 0
    with open(path, 'rb') as file:
        length_of = _reader_of(file.read(_HEAD))
        while length_of and end < whole:
            file.seek(end)
            length = length_of(file.read(_HEAD).ljust(_HEAD, b'\0'))
            if not length:
                return False
            end += length
    return end > whole


def _reader_of(head: bytes) -> Optional[Callable[[bytes], int]]:
    """What tells the length of a part, 0 if unknown, by its head."""
    if head[4:8] in (b'ftyp', b'moov', b'mdat', b'wide', b'free', b'skip'):
        return _box_length
    if head[:4] == b'RIFF':
        return _chunk_length
    return _element_length if head[:4] == b'\x1aE\xdf\xa3' else None


def _box_length(head: bytes) -> int:
    length = int.from_bytes(head[:4], 'big')
    if length == 1:  # too long for four bytes
        length = int.from_bytes(head[8:16], 'big')
    return length if length >= 8 else 0  # 0: up to the end


def _chunk_length(head: bytes) -> int:
    length = int.from_bytes(head[4:8], 'little')
    return 8 + length + length % 2 if length else 0  # 0: never finished


def _element_length(head: bytes) -> int:
    # A number is as long as its first byte has zeros in front, and one more.
    name, digits = 9 - head[0].bit_length(), 0
    if name <= 4:
        digits = 9 - head[name].bit_length()
    if not 1 <= digits <= 8:
        return 0
    largest = (1 << 7 * digits) - 1
    length = int.from_bytes(head[name : name + digits], 'big') & largest
    return name + digits + length if length < largest else 0  # unknown


# ---- writing


def write_video(frames: Iterable[np.ndarray], path: Path, fps: float) -> Path:
    """Write frames as an mp4.

    As H.264, which every browser plays, where ``imageio-ffmpeg`` is installed
    (extra ``faces``); else as MPEG-4 Part 2 by OpenCV. The frames of the file
    are counted before it takes the place of an older one.

    Args:
        frames (Iterable[np.ndarray]): (H, W, 3) RGB uint8, all of one size,
            even in both directions.
        path (Path): File to write.
        fps (float): Frames a second.

    Returns:
        Path: The written file.

    Raises:
        OSError: The video could not be written; an older file stays.
        ValueError: There is no frame.
    """
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        writer = _opencv
    else:
        writer = _ffmpeg
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix='.video') as folder:
        part = os.path.join(folder, 'video.mp4')
        try:
            sent = _write(frames, part, fps, writer)
            found = _frames_in(part)
            if found != sent:
                raise _WriteError(f'{found} of {sent} frames can be read back')
        except _WriteError as error:
            raise OSError(
                f'{path}: the video could not be written ({error}); is the '
                'disk full?'
            ) from error
        os.replace(part, path)
    return path


class _WriteError(OSError):
    """The writer takes no frame; errors of reading them are others."""


def _write(
    frames: Iterable[np.ndarray], part: str, fps: float, writer: _Writer
) -> int:
    """Write all frames; their number."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError('a video needs at least one frame, got none')
    sent = 0
    with writer(part, first.shape[1::-1], fps) as send:
        for frame in chain([first], frames):
            send(frame)
            sent += 1
    return sent


@contextmanager
def _ffmpeg(
    part: str, size: tuple[int, int], fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    from imageio_ffmpeg import write_frames

    def send(frame: np.ndarray) -> None:
        try:
            writer.send(np.ascontiguousarray(frame))
        except OSError as error:  # its text is the whole command
            raise _WriteError('ffmpeg has stopped') from error

    writer = write_frames(part, size, fps=fps, quality=7, macro_block_size=2)
    writer.send(None)
    with closing(writer):
        yield send


@contextmanager
def _opencv(
    part: str, size: tuple[int, int], fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    code = cv2.VideoWriter_fourcc(*'mp4v')
    # MPEG-4 takes no finer fractions of a second.
    writer = cv2.VideoWriter(part, code, round(fps, 2), size)
    if not writer.isOpened():
        raise _WriteError('OpenCV cannot open the file')
    try:
        yield lambda frame: writer.write(
            cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        )
    finally:
        writer.release()


def _frames_in(part: str) -> int:
    """How many frames a file has; 0 where its last one cannot be read."""
    video = cv2.VideoCapture(part)
    try:
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
        return count if video.read()[0] else 0
    finally:
        video.release()
