"""Decoding of the sampled frames of a clip."""

import os
from typing import Optional

import numpy as np
from mmaction.datasets.transforms import RawFrameDecode
from mmaction.utils import OptConfigType

from micacl_mm.datasets.images import (
    REDUCTIONS,
    decode_image,
    jpeg_size,
    read_file,
)
from micacl_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FaceFrameDecode(RawFrameDecode):
    """Read and decode the sampled frames, each distinct one once.

    A drop-in for ``RawFrameDecode`` on RGB frames: the same keys, the same
    pixels to the bit. JPEGs are decoded by ``simplejpeg`` if it is there
    (``pip install '.[fast]'``), else by OpenCV. With the argument ``pack`` of
    our datasets, frames come from one file instead of thousands.

    With ``crop`` the crop of the clip is drawn before the decoding, by the
    transform named and from the same random numbers as behind it. With
    ``scale`` as well, JPEGs are decoded at 1/2, 1/4 or 1/8 wherever the crop
    is still no smaller than ``scale``, which a ``Resize`` behind then makes
    of it. That is for frames far larger than what the model sees and **not**
    equal to the stock pipeline: the decoder averages where bilinear
    resizing picks, and the crop moves by up to half a reduced pixel [ours].

    Required keys: ``frame_dir``, ``filename_tmpl``, ``frame_inds``,
    ``modality``; ``offset`` and ``pack``, ``pack_clip`` if there.

    Added keys: ``imgs``, ``original_shape``, ``img_shape``, and with
    ``crop`` those of that transform.

    Args:
        crop (dict, optional): A crop of MMAction2 that looks at
            ``img_shape`` alone, ``RandomResizedCrop`` for instance; it must
            not stand in the pipeline again. Defaults to None.
        scale (tuple[int, int], optional): Width and height that the frames
            are resized to later. Defaults to None, no reduction.
        **kwargs: Arguments of ``RawFrameDecode``.

    Raises:
        ValueError: For a wrong argument, a frame that cannot be decoded, and
            frames of a clip that differ in size.

    Example:
        >>> pipeline = [
        ...     dict(type='SampleInstances'),
        ...     dict(type='FaceFrameDecode'),
        ...     dict(type='RandomResizedCrop'),
        ...     dict(type='Resize', scale=(112, 112), keep_ratio=False),
        ... ]
    """

    #: Whether it takes frames from the pack of a data set.
    reads_packs = True

    def __init__(
        self,
        crop: OptConfigType = None,
        scale: Optional[tuple[int, int]] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if scale is not None and (
            len(scale) != 2 or not all(isinstance(s, int) for s in scale)
        ):
            raise ValueError(
                'FaceFrameDecode: scale must be a width and a height, got '
                f'{scale!r}; do give that of the Resize behind, (112, 112)'
            )
        self.scale = scale
        self.crop = TRANSFORMS.build(crop) if crop else None

    def transform(self, results: dict) -> dict:
        """Add the frames.

        Args:
            results (dict): The clip's data.

        Returns:
            dict: The same with the added keys.
        """
        if results['modality'] != 'RGB' or 'gt_bboxes' in results:
            if results.get('pack') or self.crop or self.scale:
                raise ValueError(
                    'FaceFrameDecode: pack, crop and scale are for RGB '
                    f'frames without boxes, got {results["modality"]}; do '
                    'take RawFrameDecode'
                )
            return super().transform(results)
        indices = np.asarray(results['frame_inds']).reshape(-1)
        results['frame_inds'] = indices
        numbers = indices + results.get('offset', 0)
        first = int(numbers[0])
        data = self._read(results, first)
        shape = jpeg_size(data) if self.scale else None
        reduction, box = 1, None
        if shape is not None:
            box = self._draw(results, shape)
            reduction, box = self._reduce(box)
        images: dict[int, np.ndarray] = {}
        for number in dict.fromkeys(numbers.tolist()):
            if number != first:
                data = self._read(results, number)
            images[number] = self._decode(results, number, data, reduction)
            self._check_size(results, images, number, first)
        if shape is None:
            shape = images[first].shape[:2]
            box = self._draw(results, shape) if self.crop else None
        if box is not None:
            left, top, right, bottom = box
            images = {
                number: image[top:bottom, left:right]
                for number, image in images.items()
            }
        results['original_shape'] = shape
        results['img_shape'] = images[first].shape[:2]
        results['imgs'] = self._spread(images, numbers.tolist())
        return results

    def _read(self, results: dict, number: int) -> bytes:
        name = results['filename_tmpl'].format(number)
        pack = results.get('pack')
        if pack is not None:
            return pack.read(results['pack_clip'], name)
        path = os.path.join(results['frame_dir'], name)
        return read_file(path, self.io_backend, self.kwargs)

    @staticmethod
    def _decode(
        results: dict, number: int, data: bytes, reduction: int
    ) -> np.ndarray:
        name = results['filename_tmpl'].format(number)
        try:
            return decode_image(data, name, reduction)
        except ValueError as error:
            pack = results.get('pack')
            if pack and not pack.is_sound(results['pack_clip'], name, data):
                raise ValueError(
                    f'FaceFrameDecode: pack {pack.path} is damaged at '
                    f'{results["pack_clip"]}/{name}; do delete it and run '
                    'micacl pack again'
                ) from None
            path = os.path.join(results['frame_dir'], '')
            raise ValueError(f'FaceFrameDecode: {path}{error}') from None

    def _draw(self, results: dict, shape: tuple[int, int]) -> np.ndarray:
        """Draw the crop of the clip, (left, top, right, bottom)."""
        if self.crop is None:
            return np.array([0, 0, shape[1], shape[0]])
        results['img_shape'] = shape
        self.crop(results)  # without imgs it draws and no more
        return results['crop_bbox']

    def _reduce(self, box: np.ndarray) -> tuple[int, np.ndarray]:
        """The strongest reduction that keeps the crop large enough."""
        for reduction in REDUCTIONS:
            small = np.rint(box / reduction).astype(int)
            if (small[2:] - small[:2] >= self.scale).all():
                return reduction, small
        return 1, box

    @staticmethod
    def _check_size(
        results: dict, images: dict, number: int, first: int
    ) -> None:
        one, other = images[first].shape, images[number].shape
        if one != other:
            names = results['filename_tmpl']
            raise ValueError(
                'FaceFrameDecode: frames of a clip must have one size, got '
                f'{one[1]} x {one[0]} for {names.format(first)} and '
                f'{other[1]} x {other[0]} for {names.format(number)} in '
                f'{results["frame_dir"]}; do resize them, or take '
                'RawFrameDecode'
            )

    @staticmethod
    def _spread(
        images: dict[int, np.ndarray], numbers: list[int]
    ) -> list[np.ndarray]:
        """Frames in their order; a repeated one as a copy of its own."""
        # Flip works in place and would turn a shared frame back again.
        seen: set[int] = set()
        spread = []
        for number in numbers:
            image = images[number]
            spread.append(image.copy() if number in seen else image)
            seen.add(number)
        return spread

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(crop={self.crop!r}, scale={self.scale}, '
            f'io_backend={self.io_backend!r})'
        )
