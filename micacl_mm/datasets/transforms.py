"""Sampling, decoding and colours of clips."""

import os
from typing import Optional

import cv2
import numpy as np
from mmaction.datasets.transforms import (
    ColorJitter,
    DecordInit,
    RawFrameDecode,
)
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from micacl_mm.errors import ConfigError, DataError, check_count
from micacl_mm.registry import TRANSFORMS
from micacl_mm.utils.video import (
    SkippingVideo,
    UnusualVideoError,
    check_file,
    open_video,
)

from .images import decode_image, read_file


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
        """Add the frame indices of all instances to the clip's data."""
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


@TRANSFORMS.register_module()
class FaceFrameDecode(RawFrameDecode):
    """Read and decode the sampled frames, each distinct one once.

    A drop-in for ``RawFrameDecode`` on RGB frames: the same keys, the same
    pixels to the bit. JPEGs are decoded by ``simplejpeg`` if it is there
    (``pip install '.[fast]'``), else by OpenCV. With the argument ``pack`` of
    our datasets, frames come from one file instead of thousands.

    Required keys: those of ``RawFrameDecode``; ``pack``, ``pack_clip`` if
    there. Added keys: ``imgs``, ``original_shape``, ``img_shape``.

    Raises:
        DataError: For a frame that cannot be decoded, and for frames of a
            clip that differ in size.

    Example:
        >>> pipeline = [
        ...     dict(type='SampleInstances'),
        ...     dict(type='FaceFrameDecode'),
        ...     dict(type='Resize', scale=(112, 112), keep_ratio=False),
        ... ]
    """

    #: Whether it takes frames from the pack of a data set.
    reads_packs = True

    def transform(self, results: dict) -> dict:
        """Add the frames to the clip's data."""
        if results['modality'] != 'RGB' or 'gt_bboxes' in results:
            return super().transform(results)
        indices = np.asarray(results['frame_inds']).reshape(-1)
        numbers = (indices + results.get('offset', 0)).tolist()
        images: dict[int, np.ndarray] = {}
        spread = []
        for number in numbers:
            if number in images:
                # Flip works in place and would turn a shared frame back.
                spread.append(images[number].copy())
                continue
            images[number] = self._decode(results, number)
            spread.append(images[number])
            if images[number].shape != spread[0].shape:
                sizes = [
                    f'{image.shape[1]} x {image.shape[0]} for '
                    f'{results["filename_tmpl"].format(place)}'
                    for place, image in images.items()
                ]
                raise DataError(
                    'FaceFrameDecode: frames of a clip must have one size, '
                    f'got {sizes[0]} and {sizes[-1]} in '
                    f'{results["frame_dir"]}',
                    'resize them, or use RawFrameDecode',
                )
        results['frame_inds'] = indices
        results['imgs'] = spread
        results['original_shape'] = spread[0].shape[:2]
        results['img_shape'] = spread[0].shape[:2]
        return results

    def _decode(self, results: dict, number: int) -> np.ndarray:
        name = results['filename_tmpl'].format(number)
        path = os.path.join(results['frame_dir'], name)
        if results.get('pack') is not None:
            data = results['pack'].read(results['pack_clip'], name)
        else:
            data = read_file(path, self.io_backend, self.kwargs)
        return decode_image(data, f'FaceFrameDecode: {path}')


@TRANSFORMS.register_module()
class FastVideoInit(DecordInit):
    """Open a video so that ``DecordDecode`` decodes less of it.

    A drop-in for ``DecordInit`` with the mode 'accurate' of ``DecordDecode``:
    the same keys and the same frames to the bit. With PyAV (``pip install
    '.[fast]'``) frames that are neither wanted nor needed for others are not
    decoded, see :class:`~micacl_mm.utils.video.SkippingVideo`. Without it,
    and for videos in which the two libraries might differ (turned ones, 10
    bits, cuts by edit lists), it is
    :func:`~micacl_mm.utils.video.open_video`. A file that is cut off is
    refused, and with PyAV one that is damaged where it is read.

    Arguments and keys are those of ``DecordInit``.

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
            return SkippingVideo(path, data, self.num_threads)
        except UnusualVideoError:
            return open_video(path, self.num_threads, data)


_GREY = np.array([0.2989, 0.587, 0.114])  # as ColorJitter.rgb_to_grayscale
#: Stock cuts fractions off, cv2.transform rounds. Without the last part whole
#: numbers, frequent where little is changed, could fall to either side.
_CUT = 0.5 - 1e-3


@TRANSFORMS.register_module()
class ClipColorJitter(ColorJitter):
    r"""MMAction2's ``ColorJitter`` in fixed-point arithmetic.

    Brightness, contrast and saturation are linear in a pixel's colour and
    in the mean colour of its frame, so their product in any order is
    :math:`x \mapsto A x + B \bar x` with one :math:`A, B` for the clip
    [ours]. OpenCV rounds :math:`A` to 1/1024, hence values differ by one
    level of 255 at most: 3 * 255 / 2048 < 1. A shift of the hue stands
    between two such products, on bytes as in the stock transform; what is
    rounded before it may differ by a few levels behind it.

    Arguments and random numbers are those of the stock transform: a seed
    gives the same factors. For frames that are no uint8 RGB it is the stock
    transform.

    Example:
        >>> dict(type='ClipColorJitter', brightness=0.4, contrast=0.4,
        ...      saturation=0.4, hue=0)
    """

    def transform(self, results: dict) -> dict:
        """Change the colours of all ``imgs`` alike."""
        images = results['imgs']
        if not all(map(_is_rgb, images)):
            return super().transform(results)
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = [np.random.uniform(*bounds) for bounds in ranges]
        order = list(self.fn_idx)
        if factors[3]:
            at = order.index(3)
            images = _linear(images, order[:at], factors)
            images = _shift_hue(images, factors[3])
            order = order[at + 1 :]
        results['imgs'] = _linear(images, order, factors)
        return results


def _linear(
    images: list[np.ndarray], steps: list[int], factors: list[float]
) -> list[np.ndarray]:
    """Brightness (0), contrast (1) and saturation (2) in this order."""
    if not set(steps) & {0, 1, 2}:
        return images
    matrix, from_mean = _compose(steps, *factors[:3])
    means = np.array([cv2.mean(image)[:3] for image in images])
    affine = np.empty((len(images), 3, 4))
    affine[:, :, :3] = matrix
    affine[:, :, 3] = means @ from_mean.T - _CUT
    return list(map(cv2.transform, images, affine))


def _compose(
    steps: list[int], brightness: float, contrast: float, saturation: float
) -> tuple[np.ndarray, np.ndarray]:
    """The product of the steps, (3, 3), and (3, 3) for the mean colour.

    A contrast adds ``(1 - contrast)`` times the mean grey of what was before.
    """
    matrix, from_mean = np.eye(3), np.zeros((3, 3))
    grey = np.tile(_GREY, (3, 1))  # a colour to grey in all channels
    for step in steps:
        part, added = np.eye(3), np.zeros((3, 3))
        if step == 0:
            part = brightness * part
        elif step == 1:
            part = contrast * part
            added = (1 - contrast) * grey @ (matrix + from_mean)
        elif step == 2:
            part = saturation * part + (1 - saturation) * grey
        matrix, from_mean = part @ matrix, part @ from_mean + added
    return matrix, from_mean


def _shift_hue(images: list[np.ndarray], factor: float) -> list[np.ndarray]:
    """As ``ColorJitter.adjust_hue``, by a table of the 180 hues."""
    hues = np.arange(256, dtype=np.uint8)
    # Bytes overflow here as they do in the stock transform.
    table = np.stack([(hues + int(factor * 255)) % 180, hues, hues], axis=-1)
    table = table.astype(np.uint8)[None]
    shifted = []
    for image in images:
        hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table)
        shifted.append(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    return shifted


def _is_rgb(image: np.ndarray) -> bool:
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
