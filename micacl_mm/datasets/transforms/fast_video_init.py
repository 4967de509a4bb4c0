"""Opening of a video of which only the wanted frames are decoded."""

import io
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mmaction.datasets.transforms import DecordInit

from micacl_mm.datasets.images import read_file
from micacl_mm.registry import TRANSFORMS

try:
    import av
except ImportError:  # the extra [fast] is not installed
    av = None

#: What PyAV and decord turn into the same RGB; of 10 bits they do not.
_FORMATS = ('yuv420p', 'yuvj420p', 'yuv422p', 'yuv444p')


class Frames(NamedTuple):
    """Frames as decord's ``get_batch`` returns them."""

    images: np.ndarray

    def asnumpy(self) -> np.ndarray:
        """The frames, (T, H, W, 3), uint8, RGB."""
        return self.images


class UnusualVideoError(Exception):
    """A video for decord: the frames here might not be the same."""


class SkippingVideo:
    """A video file with decord's interface, decoded by PyAV.

    decord decodes every frame up to the last one that is wanted. Most files
    hold frames on which no other one is built (B-frames of H.264); those of
    them that are not wanted are passed over here, and only wanted ones are
    turned into RGB. Frames are told by their time. They are, to the bit, what
    decord gives of the file read from its beginning; a file in which that is
    not certain is refused. (Where a key frame is in the midst of an open
    group of pictures, decord jumps to it and returns broken frames.)

    Args:
        data (bytes): The file.
        num_threads (int): Threads of the decoder. Defaults to 1.

    Raises:
        UnusualVideoError: It may be that decord reads it in another way.
    """

    def __init__(self, data: bytes, num_threads: int = 1) -> None:
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
        """Decode some frames.

        Args:
            indices (Sequence[int]): Their numbers, repeated ones too.

        Returns:
            Frames: In the order of ``indices``.

        Raises:
            UnusualVideoError: They are not all there.
        """
        times = [self._times[i] for i in np.asarray(indices).tolist()]
        try:
            found = self._decode(dict.fromkeys(times))
        except av.FFmpegError as error:
            raise UnusualVideoError(str(error)) from None
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


@TRANSFORMS.register_module()
class FastVideoInit(DecordInit):
    """Open a video so that ``DecordDecode`` decodes less of it.

    A drop-in for ``DecordInit``: the same keys and the same frames to the
    bit. With PyAV (``pip install '.[fast]'``) frames that are neither
    wanted nor needed for others are not decoded, see
    :class:`SkippingVideo`. Without it, and
    for videos in which the two libraries might differ (turned ones, 10 bits,
    cuts by edit lists), it is decord.

    Required keys: ``filename``. Added keys: ``video_reader``,
    ``total_frames``, ``avg_fps``.

    Args:
        *args: As of ``DecordInit``, so are the following.
        **kwargs: ``io_backend``, ``num_threads``.

    Example:
        >>> pipeline = [
        ...     dict(type='FastVideoInit'),
        ...     dict(type='SampleInstances'),
        ...     dict(type='DecordDecode'),
        ... ]
    """

    def _get_video_reader(self, filename: str) -> object:
        if av is None:
            return super()._get_video_reader(filename)
        path = filename
        if not os.path.splitext(filename)[1]:
            path += '.mp4'  # as DecordInit does
        data = read_file(path, self.io_backend, self.kwargs)
        return _Video(data, self.num_threads)


class _Video:
    """A :class:`SkippingVideo`, and decord's reader where that gives up."""

    def __init__(self, data: bytes, num_threads: int) -> None:
        self._data = data
        self._num_threads = num_threads
        try:
            self._video = SkippingVideo(data, num_threads)
        except UnusualVideoError:
            self._video = self._decord()

    def _decord(self) -> object:
        import decord

        return decord.VideoReader(
            io.BytesIO(self._data), num_threads=self._num_threads
        )

    def __getattr__(self, name: str) -> object:
        if name.startswith('_'):  # copying asks before there is a video
            raise AttributeError(name)
        if not hasattr(self._video, name):
            self._video = self._decord()  # it can do more: seek, next
        return getattr(self._video, name)

    def __len__(self) -> int:
        return len(self._video)

    def get_batch(self, indices: np.ndarray) -> Frames:
        """Decode some frames, as decord's reader does."""
        try:
            return self._video.get_batch(indices)
        except UnusualVideoError:
            self._video = self._decord()
            return self._video.get_batch(indices)
