"""Video files: read upright, checked for missing bytes, written whole."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Optional

import cv2
import numpy as np

from micacl_mm.errors import DataError

try:
    import av
except ImportError:  # the extra [fast] is not installed
    av = None

_HEAD = 16  # bytes that hold the length of a part
_KEPT = 16  # frames of a turned video, for instances that overlap
#: What PyAV and decord turn into the same RGB; of 10 bits they do not.
_FORMATS = ('yuv420p', 'yuvj420p', 'yuv422p', 'yuv444p')


class ClipError(DataError):
    """A clip that cannot be read; the message says which and why."""


# ---- reading


def read_video(path: str) -> Iterator[np.ndarray]:
    """Read the frames of a video in their order, upright.

    Each is (H, W, 3), uint8, RGB; without any, or of a file that is cut off,
    a ClipError.
    """
    check_file(path)
    capture, image = _open(path), None
    try:
        while (found := capture.read())[0]:
            image = found[1]
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
    if image is None:
        raise ClipError(
            f'{path}: no picture can be read from it: it is damaged, no video '
            'at all, or holds sound alone'
        )


def check_file(path: str) -> None:
    """Raise a ClipError where a file cannot be opened, is empty or cut off.

    decord crashes on some files that are cut off, and reads others silently.
    """
    if not os.path.exists(path):
        raise ClipError(f'{path}: there is no such file or folder')
    try:
        if not os.path.getsize(path):
            raise ClipError(f'{path}: the file is empty')
        if is_cut_off(path):
            raise ClipError(f'{path}: the file is cut off', 'get a whole copy')
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ClipError(f'{path}: cannot be read, {reason}') from None


def _open(path: str) -> cv2.VideoCapture:
    # Any other backend takes a name with '%' for that of many images.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # not by itself, in 4.11
    return capture


# ---- reading any frame


class Frames(NamedTuple):
    """Frames as decord's ``get_batch`` returns them."""

    images: np.ndarray

    def asnumpy(self) -> np.ndarray:
        """The frames, (T, H, W, 3), uint8, RGB."""
        return self.images


def open_video(
    path: str, num_threads: int = 1, data: Optional[bytes] = None
) -> object:
    """Open a video with decord, or as UprightVideo if it is marked as turned.

    ``data`` is the content of the file, if it has been read.
    """
    import decord  # not everybody who reads frames has it

    file = path if data is None else io.BytesIO(data)
    reader = decord.VideoReader(file, num_threads=num_threads)
    if not (len(reader) and os.path.isfile(path)):
        return reader
    capture = _open(path)
    degrees = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
    capture.release()
    return UprightVideo(path, reader) if degrees else reader


class UprightVideo:
    """A turned video with decord's interface, read by OpenCV.

    Phones film lying; decord mixes up the rows of some such files. Frames are
    read one after the other, since seeking lands beside the wanted frame in
    many files; going back starts anew. The reader is for numbers and times.
    """

    def __init__(self, path: str, reader: Sequence) -> None:
        self.path = path
        self._reader = reader
        self.get_avg_fps = reader.get_avg_fps
        self.get_frame_timestamp = reader.get_frame_timestamp
        self._restart()

    def _restart(self) -> None:
        self._frames = read_video(self.path)
        self._recent: dict[int, np.ndarray] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._reader)

    def get_batch(self, indices: Sequence[int]) -> Frames:
        """Some frames, in the order of ``indices``."""
        numbers = np.asarray(indices).tolist()
        return Frames(np.stack([self._read(index) for index in numbers]))

    def _read(self, index: int) -> np.ndarray:
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


class UnusualVideoError(Exception):
    """A video for decord: the frames here might not be the same."""


class SkippingVideo:
    """A video file with decord's interface, decoded by PyAV.

    decord decodes every frame up to the last one that is wanted. Most files
    hold frames on which no other one is built (B-frames of H.264); those of
    them that are not wanted are passed over here, and only wanted ones are
    turned into RGB. Frames are, to the bit, what decord gives of the file
    read from its beginning. A file in which that is not certain is refused,
    and frames in which it is not are left to :func:`open_video`.

    Raises:
        UnusualVideoError: It may be that decord reads it in another way.
    """

    def __init__(self, path: str, data: bytes, num_threads: int = 1) -> None:
        if av is None:
            raise UnusualVideoError('PyAV is not installed')
        self._opening = path, num_threads, data
        try:
            self._container = av.open(io.BytesIO(data))
            self._stream = self._container.streams.video[0]
            self._packets = [
                packet
                for packet in self._container.demux(self._stream)
                if packet.size
            ]
        except (av.FFmpegError, IndexError) as error:
            raise UnusualVideoError(str(error)) from None
        self._check()
        self._times = sorted(packet.pts for packet in self._packets)
        codec = self._stream.codec_context
        codec.thread_count = num_threads
        codec.thread_type = 'NONE' if num_threads == 1 else 'AUTO'

    def __len__(self) -> int:
        return len(self._times)

    def get_avg_fps(self) -> float:
        """Frames per second."""
        return float(self._stream.average_rate)

    def get_batch(self, indices: Sequence[int]) -> Frames:
        """Decode some frames; a ClipError if the decoder finds damage."""
        times = [self._times[i] for i in np.asarray(indices).tolist()]
        try:
            found = self._decode(dict.fromkeys(times))
        except av.FFmpegError as error:
            raise self._damaged(str(error)) from None
        except UnusualVideoError:
            return open_video(*self._opening).get_batch(indices)
        return Frames(np.stack([found[time] for time in times]))

    def _decode(self, found: dict) -> dict:
        """Fill in the frame of each time."""
        codec = self._stream.codec_context
        codec.flush_buffers()  # of the frames of an earlier batch
        # One for all: each frame's own would set its tables up anew.
        converter = av.video.reformatter.VideoReformatter()
        missing = len(found)
        # From the last key frame before them; None empties the decoder.
        for packet in [*self._packets[self._start(min(found)) :], None]:
            wanted = packet is None or packet.pts in found
            codec.skip_frame = 'DEFAULT' if wanted else 'NONREF'
            for frame in codec.decode(packet):
                if frame.is_corrupt:  # patched up from its neighbours
                    raise self._damaged('frames are corrupt')
                if found.get(frame.pts, frame) is None:
                    self._check_frame(frame)
                    image = converter.reformat(
                        frame, format='rgb24', threads=1
                    )
                    found[frame.pts] = image.to_ndarray()
                    missing -= 1
            if not missing:
                return found
        raise UnusualVideoError(f'{missing} frames are not there')

    def _start(self, time: int) -> int:
        """Packet to start at: a key frame that parts the video in two."""
        times = np.array([packet.pts for packet in self._packets])
        shown_before = np.maximum.accumulate(times) <= times
        shown_after = np.minimum.accumulate(times[::-1])[::-1] >= times
        keys = np.array([packet.is_keyframe for packet in self._packets])
        # Frames that are stored behind a key frame and shown before it lean
        # on what is stored before: there decord goes wrong.
        closed = keys & shown_before & shown_after & (times <= time)
        return int(np.flatnonzero(closed)[-1]) if closed.any() else 0

    def _check(self) -> None:
        codec = self._stream.codec_context
        times = [packet.pts for packet in self._packets]
        sure = (
            times
            and None not in times
            and len(set(times)) == len(times)
            and not any(p.is_discard or p.is_corrupt for p in self._packets)
            and self._packets[0].is_keyframe
            and self._stream.average_rate
            and codec.format is not None
            and codec.format.name in _FORMATS
        )
        if not sure:
            raise UnusualVideoError('not a plain video')

    def _check_frame(self, frame: object) -> None:
        size = frame.width, frame.height
        codec = self._stream.codec_context
        if (
            frame.rotation
            or frame.format.name not in _FORMATS
            or size != (codec.width, codec.height)
        ):
            raise UnusualVideoError('turned, or not of one kind')

    def _damaged(self, why: str) -> ClipError:
        problem = f'{self._opening[0]}: the video is damaged ({why})'
        return ClipError(problem, 'get a whole copy')


# ---- whether all bytes are there


def is_cut_off(path: str) -> bool:
    """Whether the last part of a video file ends beyond the file.

    Parts are the boxes of mp4, m4v and mov, the chunks of avi, and the
    elements of mkv and webm, each of which begins with its length. Of other
    files, and of streams that were written without a length, False.
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
    """Write frames, (H, W, 3) RGB uint8 of one even size, as an mp4.

    As H.264, which every browser plays, where ``imageio-ffmpeg`` is installed
    (extra ``faces``); else as MPEG-4 Part 2 by OpenCV. The frames of the file
    are counted before it takes the place of an older one.

    Raises:
        OSError: The video could not be written; an older file stays.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError('a video needs at least one frame, got none')
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix='.video') as folder:
        part, sent, lost = os.path.join(folder, 'video.mp4'), 0, 0
        with _open_writer(part, first.shape[1::-1], fps) as send:
            for frame in chain([first], frames):
                try:
                    send(np.ascontiguousarray(frame))
                except OSError:  # its text is the whole command
                    lost = 1
                    break
                sent += 1
        found = _frames_in(part)
        if lost or found != sent:
            raise OSError(
                f'{path}: the video could not be written ({found} of '
                f'{sent + lost} frames can be read back); is the disk full?'
            )
        os.replace(part, path)
    return path


@contextmanager
def _open_writer(
    part: str, size: tuple[int, int], fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Open a file for frames of a size (width, height) and a rate."""
    try:
        from imageio_ffmpeg import write_frames
    except ImportError:
        code = cv2.VideoWriter_fourcc(*'mp4v')
        # MPEG-4 takes no finer fractions of a second.
        writer = cv2.VideoWriter(part, code, round(fps, 2), size)
        try:
            yield lambda frame: writer.write(
                cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            )
        finally:
            writer.release()
    else:
        writer = write_frames(
            part, size, fps=fps, quality=7, macro_block_size=2
        )
        writer.send(None)
        with closing(writer):
            yield writer.send


def _frames_in(part: str) -> int:
    """How many frames a file has; 0 where its last one cannot be read."""
    video = cv2.VideoCapture(part)
    try:
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
        return count if video.read()[0] else 0
    finally:
        video.release()
