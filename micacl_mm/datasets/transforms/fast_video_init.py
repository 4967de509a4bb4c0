"""Opening of a video for the decoding of a few frames."""

import io
import os

import numpy as np
from mmaction.datasets.transforms import DecordInit

from micacl_mm.datasets import skipping_video
from micacl_mm.datasets.images import read_file
from micacl_mm.datasets.skipping_video import (
    Frames,
    SkippingVideo,
    UnusualVideoError,
)
from micacl_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FastVideoInit(DecordInit):
    """Open a video so that ``DecordDecode`` decodes less of it.

    A drop-in for ``DecordInit``: the same keys and the same frames to the
    bit. With PyAV (``pip install '.[fast]'``) frames that are neither
    wanted nor needed for others are not decoded, see
    :class:`~micacl_mm.datasets.skipping_video.SkippingVideo`. Without it, and
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
        if skipping_video.av is None:
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
