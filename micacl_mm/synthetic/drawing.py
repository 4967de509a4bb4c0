"""Shapes in image coordinates, -1 to 1 over a square image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Colour = np.ndarray | Sequence[float] | float

_SUBPIXEL = 4  # bits after the binary point of OpenCV's coordinates


def _bgr(colour: Colour) -> tuple[float, ...]:
    return tuple(np.atleast_1d(colour).astype(float).tolist())


def _pixels(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    scale = 0.5 * image.shape[0] * (1 << _SUBPIXEL)
    return np.rint((points + 1) * scale).astype(np.int32)


def flood(image: np.ndarray, colour: Colour) -> None:
    """Paint all of an image, four times as fast as numpy's broadcast."""
    height, width = image.shape[:2]
    cv2.rectangle(image, (0, 0), (width, height), _bgr(colour), -1)


def fill(image: np.ndarray, points: np.ndarray, colour: Colour) -> None:
    """Fill a polygon, (P, 2)."""
    pixels = _pixels(image, points)
    cv2.fillPoly(image, [pixels], _bgr(colour), shift=_SUBPIXEL)


def line(
    image: np.ndarray, points: np.ndarray, colour: Colour, thick: float
) -> None:
    """Draw an open line through points, (P, 2)."""
    thickness = max(1, round(0.5 * thick * image.shape[0]))
    cv2.polylines(
        image,
        [_pixels(image, points)],
        False,
        _bgr(colour),
        thickness,
        shift=_SUBPIXEL,
    )


def disc(
    image: np.ndarray, centre: np.ndarray, radius: float, colour: Colour
) -> None:
    """Fill a circle around a centre, (2,)."""
    x, y = _pixels(image, np.asarray(centre)).tolist()
    radius = round(0.5 * radius * image.shape[0] * (1 << _SUBPIXEL))
    cv2.circle(image, (x, y), radius, _bgr(colour), -1, shift=_SUBPIXEL)


def ellipse(image: np.ndarray, shape: np.ndarray, colour: Colour) -> None:
    """Fill an ellipse given as x, y, two axes and degrees, (5,)."""
    half = 0.5 * image.shape[0]
    x, y, first, second, angle = shape.tolist()
    centre = (round((x + 1) * half), round((y + 1) * half))
    axes = (round(first * half), round(second * half))
    cv2.ellipse(image, centre, axes, angle, 0, 360, _bgr(colour), -1)
