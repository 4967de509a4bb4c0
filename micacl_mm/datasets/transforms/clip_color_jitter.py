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
    [ours]. OpenCV rounds :math:`A` to 1/1024, hence values differ by one
    level of 255 at most: 3 * 255 / 2048 < 1. A shift of the hue stands
    between two such products, on bytes as in the stock transform; what is
    rounded before it may differ by a few levels behind it.

    The random numbers are drawn as in the stock transform, in the same
    order: a seed gives the same factors. For frames that are no uint8 RGB it
    is the stock transform.

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
    """The product of the steps, (3, 3), and what it adds of the mean.

    A contrast around the mean grey adds ``(1 - contrast)`` times the mean
    grey of what stood before, which is linear in the mean colour: the second
    matrix, (3, 3), is applied to that.
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
