"""Cut a square around a face out of a frame."""

from typing import Optional

import cv2
import numpy as np


def square_boxes(boxes: np.ndarray, margin: float = 0.15) -> np.ndarray:
    """Make boxes square, with room around the face.

    Args:
        boxes (np.ndarray): ``x1, y1, x2, y2``, (..., 4).
        margin (float): What is added on each of the four sides, as a share
            of the box's longer side; negative values cut into the face.
            Defaults to 0.15.

    Returns:
        np.ndarray: Of the same shape and centres; sides are ``1 + 2 * margin``
        times the longer side.
    """
    boxes = np.asarray(boxes, np.float64)
    if not margin > -0.5:
        raise ValueError(
            f'square_boxes: margin must be above -0.5, got {margin}'
        )
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    longer = (boxes[..., 2:] - boxes[..., :2]).max(-1, keepdims=True)
    half = longer * (0.5 + margin)
    return np.concatenate([centre - half, centre + half], axis=-1)


def crop_face(
    image: np.ndarray, box: np.ndarray, size: Optional[int] = None
) -> np.ndarray:
    """Cut a square out of an image, to the fraction of a pixel.

    Beyond the image its border pixels are repeated. When the crop is shrunk,
    every pixel of the square counts, so that nothing flickers.

    Args:
        image (np.ndarray): (H, W) or (H, W, C).
        box (np.ndarray): ``x1, y1, x2, y2``, where pixel i covers i to i + 1.
            Of an oblong box the square of its longer side is taken.
        size (int, optional): Side of the crop in pixels. None stands for the
            square's own, rounded. Defaults to None.

    Returns:
        np.ndarray: (size, size) or (size, size, C).

    Raises:
        ValueError: If the square has no side or lies outside the image.
    """
    box = np.asarray(box, np.float64)
    x1, y1, x2, y2 = square_boxes(box, margin=0.0)
    height, width = image.shape[:2]
    inside = x1 < width and y1 < height and x2 > 0 and y2 > 0
    if not np.isfinite(box).all() or x2 <= x1 or not inside:
        raise ValueError(
            'crop_face: the box must be finite, have an area and touch the '
            f'image of {width} x {height} pixels, got {box.tolist()}'
        )
    side = x2 - x1
    size = max(1, round(side)) if size is None else size
    if size < 1:
        raise ValueError(f'crop_face: size must be 1 or more, got {size}')
    # Bilinear sampling sees 2 x 2 pixels, so a shrunk crop is first sampled
    # at every pixel of the image, then averaged.
    fine = size * max(1, int(np.ceil(side / size - 1e-6)))
    step = side / fine
    # Centres of pixels lie at a half.
    shift = 0.5 * step - 0.5
    matrix = np.array([[step, 0, x1 + shift], [0, step, y1 + shift]])
    crop = cv2.warpAffine(
        image,
        matrix,
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if fine == size:
        return crop
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
