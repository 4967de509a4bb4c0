"""Decoding of the sampled frames of a clip."""

import os

import numpy as np
from mmaction.datasets.transforms import RawFrameDecode

from micacl_mm.datasets.images import decode_image, read_file
from micacl_mm.errors import ConfigError, DataError
from micacl_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FaceFrameDecode(RawFrameDecode):
    """Read and decode the sampled frames, each distinct one once.

    A drop-in for ``RawFrameDecode`` on RGB frames: the same keys, the same
    pixels to the bit. JPEGs are decoded by ``simplejpeg`` if it is there
    (``pip install '.[fast]'``), else by OpenCV. With the argument ``pack`` of
    our datasets, frames come from one file instead of thousands.

    Required keys: ``frame_dir``, ``filename_tmpl``, ``frame_inds``,
    ``modality``; ``offset`` and ``pack``, ``pack_clip`` if there.

    Added keys: ``imgs``, ``original_shape``, ``img_shape``.

    Args:
        **kwargs: Arguments of ``RawFrameDecode``.

    Raises:
        DataError: For a frame that cannot be decoded, and for frames of a
            clip that differ in size.
        ConfigError: For a pack with other data than RGB frames.

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
        """Add the frames.

        Args:
            results (dict): The clip's data.

        Returns:
            dict: The same with the added keys.
        """
        if results['modality'] != 'RGB' or 'gt_bboxes' in results:
            if results.get('pack'):
                raise ConfigError(
                    'FaceFrameDecode: a pack is for RGB frames without boxes, '
                    f'got {results["modality"]}',
                    'use RawFrameDecode',
                )
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
                self._fail_by_size(results, images, numbers[0], number)
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

    @staticmethod
    def _fail_by_size(
        results: dict, images: dict, first: int, number: int
    ) -> None:
        one, other = images[first].shape, images[number].shape
        names = results['filename_tmpl']
        raise DataError(
            'FaceFrameDecode: frames of a clip must have one size, got '
            f'{one[1]} x {one[0]} for {names.format(first)} and '
            f'{other[1]} x {other[0]} for {names.format(number)} in '
            f'{results["frame_dir"]}',
            'resize them, or use RawFrameDecode',
        )
