"""Who is filmed and how: everything in a clip but the expression."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np


@dataclass(frozen=True)
class Difficulty:
    """Strength of the expression and of everything that hides it."""

    intensity_low: float  # weakest peak of a clip's expression
    intensity_high: float  # strongest peak
    missing: float  # chance that an action unit of the recipe stays away
    crosstalk: float  # highest intensity of units that do not belong
    apex_low: float  # shortest apex as a share of the clip
    apex_high: float  # longest apex
    pose: float  # spread of yaw in degrees; pitch and roll follow
    shift: float  # spread of the crop's offset in half image widths
    light: float  # strength of gain, gradient and colour of the light
    occlusion: float  # chance of something before the face
    blur: float  # largest blur in pixels of a 64 px frame
    noise: float  # largest standard deviation of the noise, of 255
    speech: float  # chance that the mouth talks for part of the clip


def _palette(colours: str) -> np.ndarray:
    """Colours given as RRGGBB, in OpenCV's order blue, green, red."""
    rows = [list(bytes.fromhex(c))[::-1] for c in colours.split()]
    return np.array(rows, float)


SKINS = _palette('f5d7be e8bea0 d7a57d be875f 9b6946 785037')  # light to dark
HAIRS = _palette('1c1919 3c281e 69462d b98c5a 824128 969696')
IRISES = _palette('553723 3c5a6e 506e46 32231e')


def draw_identity(rng: np.random.Generator) -> SimpleNamespace:
    """Draw a person, in units of half the face's height."""
    tone = rng.uniform(0, len(SKINS) - 1.001)
    low = int(tone)
    skin = SKINS[low] + (tone - low) * (SKINS[low + 1] - SKINS[low])
    skin = np.clip(skin * rng.uniform(0.95, 1.05, 3), 0, 255)
    red = np.array([90, 75, 185]) * skin.mean() / 190
    uniform = rng.uniform
    return SimpleNamespace(
        skin=skin,
        hair=HAIRS[rng.integers(len(HAIRS))] * uniform(0.8, 1.2),
        iris=IRISES[rng.integers(len(IRISES))],
        lips=skin + uniform(0.45, 0.85) * (red - skin),
        hair_style=int(rng.integers(4)),
        face_width=uniform(0.68, 0.78),
        jaw=uniform(1.85, 2.5),
        eye_gap=uniform(0.28, 0.32),
        eye_width=uniform(0.145, 0.175),
        eye_open=uniform(0.9, 1.1),
        brow_thick=uniform(0.035, 0.065),
        brow_height=uniform(-0.40, -0.36),
        brow_tilt=uniform(-0.02, 0.02),
        nose_width=uniform(0.10, 0.14),
        mouth_width=uniform(0.23, 0.28),
        mouth_height=uniform(0.49, 0.53),
        mouth_rest=uniform(-0.015, 0.015),
        lip_upper=uniform(0.035, 0.065),
        lip_lower=uniform(0.05, 0.085),
        age=uniform(0.0, 0.35),
        glasses=bool(rng.random() < 0.2),
        beard=float(rng.random() < 0.2) * uniform(0.25, 0.6),
    )


@dataclass(frozen=True)
class Scene:
    """Camera, light and idle motion of a clip; tracks have one row a frame.

    Attributes:
        pose: Yaw, pitch, roll in radians, offset x, y, and zoom, (T, 6).
        blink: How far the lids are closed, (T,).
        gaze: Offset of the irises, (T, 2).
        speech: Opening and rounding of a talking mouth, (T, 2).
        gain: Brightness factor of each frame, (T,).
    """

    pose: np.ndarray
    blink: np.ndarray
    gaze: np.ndarray
    speech: np.ndarray
    gain: np.ndarray
    tint: np.ndarray
    slope: np.ndarray
    backdrop: np.ndarray
    blobs: np.ndarray
    blob_colours: np.ndarray
    occluder: tuple[np.ndarray, np.ndarray] | None
    blur: float
    noise: float


def _mute(colours: np.ndarray) -> np.ndarray:
    """Take colours halfway to grey, as rooms and clothes mostly are."""
    return 0.5 * (colours + colours.mean(-1, keepdims=True))


def _track(rng: np.random.Generator, num: int, idle: float) -> np.ndarray:
    """A smooth random motion around zero."""
    time = np.arange(num)
    period, phase = rng.uniform(14, 45, 2), rng.uniform(0, 2 * np.pi, 2)
    waves = np.sin(2 * np.pi * time[:, None] / period + phase)
    return idle * waves @ rng.normal(0, 0.7, 2)


def _draw_pose(
    rng: np.random.Generator, num: int, knobs: Difficulty
) -> np.ndarray:
    spread = [np.deg2rad(knobs.pose * f) for f in (1.0, 0.5, 0.6)]
    spread += [knobs.shift, knobs.shift, 0.6 * knobs.shift]
    columns = [
        np.clip(rng.normal(0, s), -2 * s, 2 * s) + _track(rng, num, 0.3 * s)
        for s in spread
    ]
    columns[5] = 0.86 + columns[5]
    return np.stack(columns, 1)


def _draw_blink(rng: np.random.Generator, num: int) -> np.ndarray:
    closed = np.zeros(num)
    time = np.arange(num)
    moment = rng.uniform(0, 40)
    while moment < num:
        closed = np.maximum(closed, 1 - np.abs(time - moment) / 2.2)
        moment += rng.uniform(15, 60)
    return closed


def _draw_speech(
    rng: np.random.Generator, num: int, knobs: Difficulty
) -> np.ndarray:
    talks = rng.random() < knobs.speech
    begin, length = rng.uniform(0, 0.6), rng.uniform(0.3, 0.6)
    share = np.arange(num) / num
    window = ((share >= begin) & (share < begin + length)) * float(talks)
    period, phase = rng.uniform(4, 8), rng.uniform(0, 2 * np.pi, 2)
    angle = 2 * np.pi * np.arange(num) / period
    wave = np.sin(angle + phase[0]) * np.sin(0.37 * angle + phase[1])
    opening = 0.45 * np.abs(wave) * window
    rounding = 0.3 * np.sin(0.5 * angle + phase[1]) * window
    return np.stack([opening, rounding], 1)


def _draw_occluder(
    rng: np.random.Generator, num: int, knobs: Difficulty
) -> tuple[np.ndarray, np.ndarray] | None:
    """Ellipse before the face: centre, axes and angle, (T, 5), and colour."""
    present = rng.random() < knobs.occlusion
    angle = rng.uniform(0, 2 * np.pi)
    track = np.empty((num, 5))
    track[:, 0] = 0.8 * np.cos(angle) + _track(rng, num, 0.08)
    track[:, 1] = 0.8 * np.sin(angle) + _track(rng, num, 0.08)
    track[:, 2:4] = rng.uniform(0.18, 0.42, 2)
    track[:, 4] = rng.uniform(0, 180)
    colour = _mute(rng.uniform(20, 220, 3))
    return (track, colour) if present else None


def draw_scene(
    num_frames: int, rng: np.random.Generator, knobs: Difficulty
) -> Scene:
    """Draw how a clip is filmed."""
    light = knobs.light
    gaze = np.stack([_track(rng, num_frames, 0.02) for _ in range(2)], 1)
    flicker = _track(rng, num_frames, 0.04 * light)
    return Scene(
        pose=_draw_pose(rng, num_frames, knobs),
        blink=_draw_blink(rng, num_frames),
        gaze=gaze + rng.normal(0, 0.02, 2),
        speech=_draw_speech(rng, num_frames, knobs),
        gain=np.exp(light * rng.uniform(-0.7, 0.25) + flicker),
        tint=np.exp(light * rng.normal(0, 0.08, 3)),
        slope=light * rng.uniform(-0.5, 0.5, 2),
        backdrop=_mute(rng.uniform(20, 210, (2, 3))),
        blobs=rng.uniform(0, 1, (6, 3)),
        blob_colours=_mute(rng.uniform(0, 220, (6, 3))),
        occluder=_draw_occluder(rng, num_frames, knobs),
        blur=knobs.blur * rng.random(),
        noise=knobs.noise * rng.uniform(0.2, 1),
    )
