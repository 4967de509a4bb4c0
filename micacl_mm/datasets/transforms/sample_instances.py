"""Sampling of a clip as a bag of short instances."""

from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from micacl_mm.errors import ConfigError, DataError, check_count
from micacl_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SampleInstances(BaseTransform):
    r"""Sample frames over the whole clip and cut them into instances.

    The clip is divided into F = ``num_frames`` segments of equal length
    [kin: M3DFEL], segment :math:`i` being the frames
    :math:`\lfloor iT/F \rfloor \dots \lfloor (i+1)T/F \rfloor - 1` of T.
    One frame is taken from each: a random one in training, the middle one in
    test mode. A segment of a clip shorter than F that holds no frame repeats
    the one before it. The F frames are then cut into
    M = (F - L) / stride + 1 windows of L = ``instance_len`` frames.

    Four disjoint instances of four frames are the default [paper]; sliding
    windows at ``instance_stride=2``, seven instances, are a variant [ours].

    Required keys: ``total_frames``, ``start_index`` (0 if absent). With
    videos, ``DecordInit`` in front supplies the former.

    Added keys: ``frame_inds`` of shape (M * L,), ``num_clips`` = M,
    ``clip_len`` = L, ``frame_interval`` = None. MMAction2's
    ``FormatShape('NCTHW')`` makes (M, C, L, H, W) of them.

    Args:
        num_frames (int): Frames taken from the clip. Defaults to 16.
        instance_len (int): Frames of an instance. Defaults to 4.
        instance_stride (int, optional): Frames from the start of an instance
            to the start of the next. None stands for ``instance_len``.
            Defaults to None.
        test_mode (bool): Take the middle of each segment. Defaults to False.

    Raises:
        ConfigError: The windows do not end at the last frame.
        DataError: In :meth:`transform`, a clip without frames.

    Example:
        >>> sample = SampleInstances(num_frames=4, instance_len=2,
        ...                          test_mode=True)
        >>> sample(dict(total_frames=8, start_index=0))['frame_inds']
        array([1, 3, 5, 7], dtype=int32)
    """

    def __init__(
        self,
        num_frames: int = 16,
        instance_len: int = 4,
        instance_stride: Optional[int] = None,
        test_mode: bool = False,
    ) -> None:
        stride = instance_len if instance_stride is None else instance_stride
        check_count(
            'SampleInstances',
            num_frames=num_frames,
            instance_len=instance_len,
            instance_stride=stride,
        )
        rest = num_frames - instance_len
        if rest < 0 or rest % stride:
            raise ConfigError(
                'SampleInstances: num_frames must be instance_len plus a '
                f'multiple of instance_stride, got {num_frames} frames, '
                f'instances of {instance_len} and stride {stride}',
                'use e.g. 16, 4 and 4, or 16, 4 and 2',
            )
        self.num_frames = num_frames
        self.instance_len = instance_len
        self.instance_stride = stride
        self.num_instances = rest // stride + 1
        self.test_mode = test_mode

    @cache_randomness
    def _draw_positions(self) -> np.ndarray:
        """Random positions within the segments, (F,) in [0, 1)."""
        return np.random.random(self.num_frames)

    def _sample(self, total_frames: int) -> np.ndarray:
        """Frame numbers of the F segments, never decreasing, (F,)."""
        edges = np.arange(self.num_frames + 1) * total_frames
        edges //= self.num_frames
        first = edges[:-1]
        # A segment is never empty, or short clips would lose frames.
        length = np.maximum(edges[1:] - first, 1)
        if self.test_mode:
            return first + length // 2
        return first + (self._draw_positions() * length).astype(first.dtype)

    def transform(self, results: dict) -> dict:
        """Add the frame indices of all instances.

        Args:
            results (dict): The clip's data.

        Returns:
            dict: The same with the added keys.
        """
        total_frames = results.get('total_frames', 0)
        if total_frames < 1:
            raise DataError(
                'SampleInstances: total_frames must be at least 1, got '
                f'{total_frames} for clip {results.get("video_id", "?")}',
                'delete the empty clip, or put DecordInit in front if the '
                'clips are videos',
            )
        frames = self._sample(total_frames) + results.get('start_index', 0)
        starts = np.arange(self.num_instances) * self.instance_stride
        windows = starts[:, None] + np.arange(self.instance_len)  # (M, L)
        results['frame_inds'] = frames[windows].reshape(-1).astype(np.int32)
        results['clip_len'] = self.instance_len
        results['num_clips'] = self.num_instances
        results['frame_interval'] = None
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_frames={self.num_frames}, '
            f'instance_len={self.instance_len}, '
            f'instance_stride={self.instance_stride}, '
            f'test_mode={self.test_mode})'
        )
