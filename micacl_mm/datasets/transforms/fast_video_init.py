"""Opening of a video of which only the wanted frames are decoded."""

import os

import numpy as np
from mmaction.datasets.transforms import DecordInit

from micacl_mm.datasets.images import read_file
from micacl_mm.registry import TRANSFORMS
from micacl_mm.utils.video import (
    ClipError,
    Frames,
    SkippingVideo,
    UnusualVideoError,
    check_file,
    open_video,
)


@TRANSFORMS.register_module()
class FastVideoInit(DecordInit):
    """Open a video so that ``DecordDecode`` decodes less of it.

    A drop-in for ``DecordInit``: the same keys and the same frames to the
    bit. With PyAV (``pip install '.[fast]'``) frames that are neither
    wanted nor needed for others are not decoded, see
    :class:`~micacl_mm.utils.video.SkippingVideo`. Without it, and for videos
    in which the two libraries might differ (turned ones, 10 bits, cuts by
    edit lists), it is :func:`~micacl_mm.utils.video.open_video`. A file that
    is cut off is refused, and with PyAV one that is damaged where it is read.

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
        path = filename
        if not os.path.splitext(filename)[1]:
            path += '.mp4'  # as DecordInit does
        if os.path.isfile(path):
            check_file(path)
        data = read_file(path, self.io_backend, self.kwargs)
        try:
            return _Video(path, data, self.num_threads)
        except UnusualVideoError:
            return open_video(path, self.num_threads, data)


class _Video:
    """A :class:`SkippingVideo`, and another reader where that gives up."""

    def __init__(self, path: str, data: bytes, num_threads: int) -> None:
        self._opening = path, num_threads, data
        self._video = SkippingVideo(data, num_threads)

    def __getattr__(self, name: str) -> object:
        if name.startswith('_'):  # copying asks before there is a video
            raise AttributeError(name)
        if not hasattr(self._video, name):
            self._video = open_video(*self._opening)  # can seek
        return getattr(self._video, name)

    def __len__(self) -> int:
        return len(self._video)

    def get_batch(self, indices: np.ndarray) -> Frames:
        """Decode some frames, as decord's reader does."""
        try:
            return self._video.get_batch(indices)
        except ClipError as error:
            problem = f'{self._opening[0]}: {error.problem}'
            raise ClipError(problem, error.cure) from None
        except UnusualVideoError:
            self._video = open_video(*self._opening)
            return self._video.get_batch(indices)
