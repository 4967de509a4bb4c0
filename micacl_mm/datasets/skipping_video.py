"""Videos of which only the wanted frames are decoded."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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
