"""Colour jitter as one small matrix a clip."""

import cv2
import numpy as np
from mmaction.datasets.transforms import ColorJitter

from micacl_mm.registry import TRANSFORMS

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
    [ours]. The random numbers are drawn as in the stock transform, in the
    same order: a seed gives the same factors. OpenCV rounds :math:`A` to
    1/1024, hence values differ by one level of 255 at most:
    3 * 255 / 2048 < 1.

    Where ``hue`` is not 0, or the frames are no uint8 RGB, it is the stock
    transform.

    Args:
        *args: As of ``ColorJitter``, so are the following.
        **kwargs: ``brightness``, ``contrast``, ``saturation``, ``hue``.

    Example:
        >>> dict(type='ClipColorJitter', brightness=0.4, contrast=0.4,
        ...      saturation=0.4, hue=0)
    """

    def transform(self, results: dict) -> dict:
        """Change the colours of all frames alike.

        Args:
            results (dict): The clip's data, with ``imgs``.

        Returns:
            dict: The same with new ``imgs``.
        """
        images = results['imgs']
        if any(self.hue) or not all(map(_is_rgb, images)):
            return super().transform(results)
        brightness = np.random.uniform(*self.brightness)
        contrast = np.random.uniform(*self.contrast)
        saturation = np.random.uniform(*self.saturation)
        np.random.uniform(*self.hue)  # stock draws it too
        matrix, from_mean = self._compose(brightness, contrast, saturation)
        means = np.array([cv2.mean(image)[:3] for image in images])
        affine = np.empty((len(images), 3, 4))
        affine[:, :, :3] = matrix
        affine[:, :, 3] = means @ from_mean.T - _CUT
        results['imgs'] = list(map(cv2.transform, images, affine))
        return results

    def _compose(
        self, brightness: float, contrast: float, saturation: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The product of the three, (3, 3), and what it adds of the mean.

        A contrast around the mean grey adds ``(1 - contrast)`` times the
        mean grey of what stood before, which is linear in the mean colour:
        the second matrix, (3, 3), is applied to that.
        """
        matrix, from_mean = np.eye(3), np.zeros((3, 3))
        grey = np.tile(_GREY, (3, 1))  # a colour to grey in all channels
        for step in self.fn_idx:
            if step == 0:
                part, added = brightness * np.eye(3), np.zeros((3, 3))
            elif step == 1:
                part = contrast * np.eye(3)
                added = (1 - contrast) * grey @ (matrix + from_mean)
            elif step == 2:
                part = saturation * np.eye(3) + (1 - saturation) * grey
                added = np.zeros((3, 3))
            else:
                continue
            matrix, from_mean = part @ matrix, part @ from_mean + added
        return matrix, from_mean


def _is_rgb(image: np.ndarray) -> bool:
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
