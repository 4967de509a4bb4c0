"""Face points moved by action units, and their projection to the image.

Coordinates: x to the right, y down, origin between eyes and mouth, one unit
is half the height of the face. Each helper draws the half with x > 0.
"""

from __future__ import annotations

from types import SimpleNamespace as Identity

import numpy as np

Points = dict[str, np.ndarray]

_U = np.linspace(-1, 1, 17)
_HALF = np.linspace(0, 1, 9)
_EYE_Y = -0.14
_TURN = np.linspace(0, 2 * np.pi, 49)
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)


def _both(name: str, points: np.ndarray, out: Points) -> None:
    out[name + '_r'] = points
    out[name + '_l'] = points * [-1, 1]


def _band(x: np.ndarray, top: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Polygon between two curves over the same x."""
    upper, lower = np.stack([x, top], 1), np.stack([x, low], 1)
    return np.concatenate([upper, lower[::-1]])


def _eye(
    who: Identity, a: dict[int, float], blink: float, out: Points
) -> None:
    width = who.eye_width
    upper = 0.092 * who.eye_open
    upper *= 1 + 0.75 * a[5] - 0.35 * a[7] - 0.2 * a[6] - 0.35 * a[9]
    lower = 0.062 * (1 - 0.65 * a[6] - 0.5 * a[7] - 0.4 * a[9])
    top = (1 - blink) * -upper + blink * (0.7 * lower)
    arch = 1 - np.abs(_U) ** 2.4
    # Raised inner brows pull the lid up towards the nose.
    slant = -0.022 * _U * (1 - 1.6 * a[1] * (1 - a[2]) + 0.8 * a[4])
    x = who.eye_gap + width * _U
    lid = np.stack([x, _EYE_Y + slant + top * arch], 1)
    under = np.stack([x, _EYE_Y + slant + lower * arch], 1)
    _both('eye', np.concatenate([lid, under[::-1]]), out)
    _both('lid', lid, out)
    fold = lid[2:-1] - [0, 0.035 + 0.02 * blink]
    _both('fold', fold, out)
    cheek = under[3:] + [0.01, 0.05 - 0.015 * a[6]]
    _both('crease_bag', cheek, out)
    for index, drop in enumerate((-0.05, 0.0, 0.05)):
        start = np.array([who.eye_gap + width + 0.03, _EYE_Y + 0.3 * drop])
        _both(
            f'crease_crow{index}',
            np.stack([start, start + [0.09, drop]]),
            out,
        )


def _brow(who: Identity, a: dict[int, float], out: Points) -> None:
    t = _HALF
    inner, outer, middle = (1 - t) ** 1.4, t**1.2, np.sin(np.pi * t)
    # With the inner raiser at work the lowerer only draws brows together.
    lower = a[4] * (1 - 0.9 * a[1])
    x = 0.10 + t * (who.eye_gap + who.eye_width - 0.02)
    x = x - 0.045 * a[4] * inner
    y = who.brow_height + who.brow_tilt * (1 - 2 * t) - 0.045 * middle
    y = y + 0.035 * outer
    y = y - 0.16 * a[1] * inner - 0.15 * a[2] * (0.35 * middle + outer)
    y = y + lower * (0.16 * inner + 0.05) + 0.09 * a[9] * inner
    # Pulled together and up, the brow turns oblique: its outer end sinks.
    y = y + 0.05 * a[1] * (1 - a[2]) * outer + 0.02 * a[4] * a[1] * outer
    thick = who.brow_thick * (1 - 0.6 * t**2)
    _both('brow', _band(x, y - 0.5 * thick, y + 0.5 * thick), out)
    top, knit = y[0], x[0]
    frown = [[knit - 0.035, top - 0.03], [knit - 0.045, top + 0.12]]
    _both('crease_frown', np.array(frown), out)
    for index, height in enumerate((-0.66, -0.57)):
        reach = 0.18 + 0.28 * a[2]
        line = np.stack([reach * _U, height - 0.02 * (1 - _U**2)], 1)
        out[f'crease_forehead{index}'] = line - [0, 0.05 * max(a[1], a[2])]


def _nose(who: Identity, a: dict[int, float], out: Points) -> None:
    width = who.nose_width * (1 + 0.2 * a[9] + 0.1 * a[12])
    lift = -0.06 * a[9] - 0.02 * a[10]
    base = 0.20 + lift
    side = [[0.055, -0.12], [0.05, 0.02], [0.07, 0.1 + lift]]
    _both('crease_nose', np.array(side), out)
    angle = np.linspace(-0.5 * np.pi, 0.75 * np.pi, 9)
    wing = np.stack([np.cos(angle), 0.06 * np.sin(angle) + base], 1)
    _both('wing', wing * [0.4 * width, 1] + [0.6 * width, 0], out)
    angle = np.linspace(0, 2 * np.pi, 10)
    hole = np.stack([0.032 * np.cos(angle), 0.02 * np.sin(angle)], 1)
    _both('nostril', hole + [0.5 * width, base + 0.03], out)
    for index, height in enumerate((-0.17, -0.1, -0.03)):
        reach = 0.07 + 0.02 * index
        line = np.stack([reach * _U, height + 0.03 * (1 - _U**2)], 1)
        out[f'crease_wrinkle{index}'] = line
    out['nose_tip'] = np.array([[0.0, base - 0.05]])


def _mouth(who: Identity, a: dict[int, float], out: Points) -> None:
    width = who.mouth_width * (
        1 + 0.3 * a[12] + 0.42 * a[20] - 0.25 * a[23] - 0.35 * a[26] * a[2]
    )
    middle = who.mouth_height - 0.03 * a[17]
    corner = middle + who.mouth_rest - 0.13 * a[12] + 0.12 * a[15]
    corner += 0.05 * a[20] + (0.04 + 0.08 * a[2]) * a[26] + 0.02 * a[16]
    upper = middle + 0.025 * a[12] - 0.04 * a[15]
    drop = 0.07 * a[25] * (1 + 0.6 * a[12]) + 0.27 * a[26] + 0.1 * a[16]
    if a[10] > 0.3:  # a lip lifted this far shows the teeth
        drop += 0.02 * (a[10] - 0.3)
    open_by = max(drop - 0.02, 0.0)
    power = 2 + 2.5 * max(a[20], a[10])
    bow = 1 - np.abs(_U) ** power
    line = corner + (upper - corner) * bow
    # The upper lip rises with 10, and a little when the lips part.
    split = 0.07 * a[10] + 0.015 * a[25]
    inner_top = line - split * bow
    inner_low = line + open_by * (1 - np.abs(_U) ** (power + 0.4))
    thin = 1 - 0.65 * a[23] - 0.25 * a[12] - 0.3 * a[20]
    swell = (1 - _U**2) ** 0.6
    cupid = 1 - 0.35 * np.exp(-((_U / 0.2) ** 2))
    top = inner_top - who.lip_upper * thin * swell * cupid
    low = inner_low + who.lip_lower * thin * (1 + 0.3 * a[17]) * swell
    # Lips that part in speech bare less of the teeth than a grin does.
    bare = 0.02 + 0.045 * max(a[10], a[12], a[20])
    x = width * _U
    out['lips'] = _band(x, top, low)
    out['gap'] = _band(x, inner_top, inner_low)
    out['lip_line'] = np.stack([x, 0.5 * (inner_top + inner_low)], 1)
    out['teeth_top'] = _band(x, inner_top - 0.02, inner_top + bare)
    out['teeth_low'] = _band(x, inner_low - 0.045, inner_low + 0.02)
    out['tongue'] = np.array([[0.0, inner_low[8] - 0.02]])
    chin = low[8] + 0.07 - 0.02 * a[17]
    dent = np.stack([0.13 * _U, chin - 0.03 * (1 - _U**2)], 1)
    out['crease_chin'] = dent
    _smile_fold(who, a, np.array([width, corner]), out)


def _smile_fold(
    who: Identity, a: dict[int, float], corner: np.ndarray, out: Points
) -> None:
    """The crease from the nose, around the cheek, to the mouth's corner."""
    start = np.array([who.nose_width + 0.03, 0.17 - 0.06 * a[9]])
    end = corner + [0.07, -0.03]
    bulge = np.array([max(corner[0], 0.25) + 0.05, start[1] + 0.08])
    t = _HALF[:, None]
    fold = (1 - t) ** 2 * start + 2 * t * (1 - t) * bulge + t**2 * end
    _both('crease_smile', fold, out)


def crease_depths(who: Identity, a: dict[int, float]) -> dict[str, float]:
    """How dark each crease is, from 0 to 1, by the start of its name."""
    return {
        'crease_bag': 0.15 * who.age + 0.6 * a[6] + 0.2 * a[9],
        'crease_crow': 0.75 * a[6] + 0.2 * who.age,
        'crease_frown': 0.85 * a[4] + 0.3 * a[9],
        'crease_forehead': 0.8 * max(a[1], a[2]) + 0.4 * who.age,
        'crease_nose': 0.25,
        'crease_wrinkle': 0.95 * a[9],
        'crease_chin': 0.25 + 0.6 * a[17],
        'crease_smile': 0.1
        + 0.5 * who.age
        + 0.5 * max(a[12], a[10], a[9], 0.5 * a[15]),
    }


def face_points(
    who: Identity, units: dict[int, float], blink: float
) -> Points:
    """All points of a face that wears an expression."""
    out: Points = {}
    _eye(who, units, blink, out)
    _brow(who, units, out)
    _nose(who, units, out)
    _mouth(who, units, out)
    return out


def head_outline(who: Identity, jaw_drop: float) -> np.ndarray:
    """Outline of the head, whose chin follows the jaw."""
    power = np.where(_SIN > 0, 2 / who.jaw, 1.0)
    x = who.face_width * np.sign(_COS) * np.abs(_COS) ** power
    y = 0.94 * np.sign(_SIN) * np.abs(_SIN) ** power
    return np.stack([x, y + 0.13 * jaw_drop * np.clip(y, 0, 1) ** 2], 1)


def project(
    points: np.ndarray, pose: np.ndarray, depth: float | None = None
) -> np.ndarray:
    """Turn the head by a pose (6,) and project points (P, 2) of it.

    Without perspective; ``depth`` of None is the surface of a face with a
    nose.
    """
    yaw, pitch, roll, shift_x, shift_y, zoom = pose
    x, y = points[:, 0], points[:, 1]
    if depth is None:
        dome = np.clip(1 - (x / 0.95) ** 2 - (y / 1.2) ** 2, 0.03, None)
        nose = np.exp(-((x / 0.12) ** 2) - ((y - 0.14) / 0.2) ** 2)
        depth = 0.7 * np.sqrt(dome) + 0.2 * nose
    turned = x * np.cos(yaw) + depth * np.sin(yaw)
    back = depth * np.cos(yaw) - x * np.sin(yaw)
    tilted = y * np.cos(pitch) - back * np.sin(pitch)
    # The crop follows the face, so half of the shift by turning is undone.
    turned = turned - 0.35 * np.sin(yaw)
    tilted = tilted + 0.35 * np.sin(pitch)
    cos, sin = np.cos(roll), np.sin(roll)
    return zoom * np.stack(
        [
            cos * turned - sin * tilted + shift_x,
            sin * turned + cos * tilted + shift_y,
        ],
        1,
    )
