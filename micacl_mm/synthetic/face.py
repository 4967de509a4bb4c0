"""Paints a moving face, frame by frame, with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import cv2
import numpy as np

from .geometry import crease_depths, face_points, head_outline, project
from .scene import Scene

Colour = np.ndarray | Sequence[float] | float

_SUBPIXEL = 4  # bits after the binary point of OpenCV's coordinates


class FacePainter:
    """Draws one person in one scene.

    Everything is painted two or three times too large and averaged down, so
    that edges are smooth and slow motion is not lost to whole pixels.
    Coordinates are -1 to 1 over the frame. The ``rng`` makes the sensor
    noise; ``scale`` is the width of all strokes, 1 for a face that fills the
    frame, as all faces of the benchmark do.
    """

    def __init__(
        self,
        who: SimpleNamespace,
        scene: Scene,
        size: int,
        rng: np.random.Generator,
        scale: float = 1.0,
    ) -> None:
        self.who = who
        self.scene = scene
        self.size = size
        self.rng = rng
        self.scale = scale
        self.width = size * (3 if size <= 80 else 2)
        self.layer = np.empty((self.width, self.width, 3), np.uint8)
        self.mask = np.empty((self.width, self.width), np.uint8)
        self.backdrop = self._paint_backdrop()
        grid = np.linspace(-1, 1, size, dtype=np.float32)
        ramp = scene.slope[0] * grid[None] + scene.slope[1] * grid[:, None]
        self.light = np.exp(ramp)[..., None] * scene.tint
        self.light = self.light.astype(np.float32)

    def frame(self, index: int, units: dict[int, float]) -> np.ndarray:
        """Paint one frame by its action units, (size, size, 3), uint8, BGR."""
        scene, pose = self.scene, self.scene.pose[index]
        opening, rounding = scene.speech[index]
        units = dict(units)
        units[26] = min(max(units[26], opening + 0.4 * units[26]), 1.0)
        units[25] = min(max(units[25], opening), 1.0)
        units[20] = min(units[20] + max(rounding, 0.0), 1.0)
        units[23] = min(units[23] + 0.5 * max(-rounding, 0.0), 1.0)
        points = face_points(self.who, units, scene.blink[index])
        flat = project(np.concatenate(list(points.values())), pose)
        cuts = np.cumsum([len(p) for p in points.values()])[:-1]
        points = dict(zip(points, np.split(flat, cuts), strict=True))

        self.canvas = canvas = self.backdrop.copy()
        self.units, self.points, self.pose = units, points, pose
        self._head()
        self._eyes(scene.gaze[index])
        self._mouth()
        self._front()
        if scene.occluder is not None:
            track, colour = scene.occluder
            x, y, first, second, angle = track[index].tolist()
            half = 0.5 * self.width
            centre = (round((x + 1) * half), round((y + 1) * half))
            axes = (round(first * half), round(second * half))
            bgr = _bgr(colour)
            cv2.ellipse(canvas, centre, axes, angle, 0, 360, bgr, -1)
        return self._camera(canvas, scene.gain[index])

    # ---- shapes

    def _fill(
        self, image: np.ndarray, points: np.ndarray, colour: Colour
    ) -> None:
        pixels = self._pixels(points)
        cv2.fillPoly(image, [pixels], _bgr(colour), shift=_SUBPIXEL)

    def _line(
        self,
        image: np.ndarray,
        points: np.ndarray,
        colour: Colour,
        thick: float,
    ) -> None:
        cv2.polylines(
            image,
            [self._pixels(points)],
            False,
            _bgr(colour),
            max(1, round(0.5 * self.scale * thick * self.width)),
            shift=_SUBPIXEL,
        )

    def _disc(
        self,
        image: np.ndarray,
        centre: np.ndarray,
        radius: float,
        colour: Colour,
    ) -> None:
        x, y = self._pixels(centre).tolist()
        radius = 0.5 * self.scale * radius * self.width * (1 << _SUBPIXEL)
        cv2.circle(
            image, (x, y), round(radius), _bgr(colour), -1, shift=_SUBPIXEL
        )

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        scale = 0.5 * self.width * (1 << _SUBPIXEL)
        return np.rint((points + 1) * scale).astype(np.int32)

    def _flood(self, image: np.ndarray, colour: Colour) -> None:
        """Paint all of an image, four times as fast as numpy's broadcast."""
        cv2.rectangle(image, (0, 0), (self.width,) * 2, _bgr(colour), -1)

    # ---- parts of the picture

    def _paint_backdrop(self) -> np.ndarray:
        ramp = np.linspace(0, 1, self.width)[:, None, None]
        first, second = self.scene.backdrop
        image = first + ramp * (second - first)
        image = np.repeat(image, self.width, 1).astype(np.uint8)
        spots = zip(self.scene.blobs, self.scene.blob_colours, strict=True)
        for (x, y, radius), colour in spots:
            centre = 2 * np.array([x, y]) - 1
            self._disc(image, centre, 0.1 + 0.4 * radius, colour)
        return cv2.blur(image, (self.width // 10,) * 2)

    def _head(self) -> None:
        who, pose = self.who, self.pose
        canvas, layer, mask = self.canvas, self.layer, self.mask
        outline = head_outline(who, self.units[26])
        if who.hair_style in (2, 3):  # long hair, or full, behind the head
            reach = [1.22, 1.3] if who.hair_style == 2 else [1.18, 1.06]
            back = outline * reach + [0, 0.18 * (who.hair_style == 2)]
            self._fill(canvas, project(back, pose, -0.2), who.hair)
        neck = np.array([[-0.4, 0.5], [0.4, 0.5], [0.48, 1.6], [-0.48, 1.6]])
        self._fill(canvas, project(neck, pose, -0.2), 0.72 * who.skin)
        ear = who.face_width + 0.01
        ears = np.array([[-ear, -0.02], [ear, -0.02]])
        for centre in project(ears, pose, 0.0):
            self._disc(canvas, centre, 0.12, 0.85 * who.skin)
        self._flood(layer, 0.82 * who.skin)
        inner = project(outline * [0.82, 0.88], pose, 0.2)
        self._fill(layer, inner, who.skin)
        self._soft()
        blur = int(self.scale * self.width) // 40 * 2 + 1
        cv2.blur(layer, (blur, blur), dst=layer)
        self._creases()
        cv2.blur(layer, (3, 3), dst=layer)
        self._flood(mask, 0)
        self._fill(mask, project(outline, pose, 0.1), 255)
        cv2.copyTo(layer, mask, canvas)

    def _soft(self) -> None:
        """Shading that is blurred: sockets, cheeks, nose, beard."""
        who, layer, pose = self.who, self.layer, self.pose
        units, points = self.units, self.points
        if who.beard:
            x = np.linspace(-1, 1, 15) * who.face_width
            top = np.stack([x, 0.66 - 0.45 * np.abs(x) ** 0.5], 1)
            top[:, 1] = np.where(np.abs(x) < 0.35, 0.32, top[:, 1])
            jaw = [[who.face_width, 1.3], [-who.face_width, 1.3]]
            beard = project(np.concatenate([top, jaw]), pose, 0.3)
            tone = who.skin + who.beard * (who.hair - who.skin)
            self._fill(layer, beard, tone)
        lift = 0.06 * units[6] + 0.03 * units[9]
        cheeks = np.array([[0.36, 0.2 - lift], [-0.36, 0.2 - lift]])
        blush = who.skin * [0.9, 0.92, 1.03] + 6
        for centre in project(cheeks, pose):
            self._disc(layer, centre, 0.15 + 0.02 * units[12], blush)
        for side in 'rl':
            eye = points[f'eye_{side}']
            centre = eye.mean(0)
            socket = centre + 1.45 * (eye - centre)
            self._fill(layer, socket, 0.84 * who.skin)
        tip = points['nose_tip'][0]
        bridge = np.stack([project(np.array([[0, -0.2]]), pose)[0], tip])
        self._line(layer, bridge, np.minimum(1.06 * who.skin, 255), 0.07)
        self._disc(layer, tip, 0.07, np.minimum(1.08 * who.skin, 255))

    def _creases(self) -> None:
        layer, points, skin = self.layer, self.points, self.who.skin
        depths = crease_depths(self.who, self.units)
        for name, crease in points.items():
            if name.startswith('crease'):
                key = name.removesuffix('_r').removesuffix('_l')
                depth = min(depths[key.rstrip('012')], 1.0)
                if depth > 0.08:
                    tone = (1 - 0.55 * depth) * skin
                    self._line(layer, crease, tone, 0.02 + 0.025 * depth)
        for side in 'rl':
            self._line(layer, points[f'wing_{side}'], 0.7 * skin, 0.025)
            self._fill(layer, points[f'nostril_{side}'], 0.35 * skin)

    def _eyes(self, gaze: np.ndarray) -> None:
        who, points, zoom = self.who, self.points, self.pose[5]
        canvas, layer, mask = self.canvas, self.layer, self.mask
        self._flood(layer, (232, 236, 238))
        self._flood(mask, 0)
        iris = zoom / self.scale
        for side in 'rl':
            eye = points[f'eye_{side}']
            self._fill(mask, eye, 255)
            # Between the corners, so that the lids slide over the iris.
            centre = 0.5 * (eye[0] + eye[16]) + zoom * (gaze - [0, 0.012])
            self._disc(layer, centre, 0.088 * iris, who.iris)
            self._disc(layer, centre, 0.045 * iris, (15, 12, 12))
            glint = centre + zoom * np.array([0.03, -0.03])
            self._disc(layer, glint, 0.018 * iris, (255, 255, 255))
            self._line(layer, points[f'lid_{side}'], (120, 125, 130), 0.03)
        cv2.copyTo(layer, mask, canvas)
        dark = np.minimum(0.3 * who.skin, 60)
        for side in 'rl':
            self._line(canvas, points[f'fold_{side}'], 0.62 * who.skin, 0.02)
            self._line(canvas, points[f'lid_{side}'], dark, 0.032)
            under = points[f'eye_{side}'][17:]
            self._line(canvas, under, 0.6 * who.skin, 0.015)

    def _mouth(self) -> None:
        who, units, points = self.who, self.units, self.points
        canvas, layer, mask = self.canvas, self.layer, self.mask
        self._fill(canvas, points['lips'], who.lips)
        self._flood(layer, (35, 25, 55))
        if units[26] > 0.3:
            self._disc(layer, points['tongue'][0], 0.1, (95, 85, 165))
        if units[26] < 0.6 or units[12] > 0.3:  # else the lip hides them
            self._fill(layer, points['teeth_top'], (225, 235, 238))
        if max(units[16], units[20]) > 0.3:
            self._fill(layer, points['teeth_low'], (215, 225, 228))
        gap = points['gap']
        self._flood(mask, 0)
        self._fill(mask, gap, 255)
        cv2.copyTo(layer, mask, canvas)
        if np.abs(gap[8] - gap[25]).sum() < 0.03 * self.scale:
            self._line(canvas, points['lip_line'], 0.4 * who.lips, 0.025)

    def _front(self) -> None:
        """Brows, hair over the forehead, glasses."""
        who, canvas, pose = self.who, self.canvas, self.pose
        tone = 0.75 * np.minimum(who.hair, 0.55 * who.skin)
        for side in 'rl':
            self._fill(canvas, self.points[f'brow_{side}'], tone)
        if who.hair_style:
            outline = head_outline(who, 0.0)
            upper = outline[outline[:, 1] < -0.3] * 1.06
            x = np.linspace(upper[-1, 0], upper[0, 0], 15)
            edge = -0.7 + 0.45 * (x / who.face_width) ** 4
            if who.hair_style == 3:  # a side parting
                edge = edge + 0.07 * x / who.face_width
            front = np.concatenate([upper, np.stack([x, edge], 1)])
            self._fill(canvas, project(front, pose, 0.15), who.hair)
        if who.glasses:
            angle = np.linspace(0, 2 * np.pi, 25)
            ring = np.stack([np.cos(angle), np.sin(angle)], 1)
            ring = ring * [who.eye_width + 0.05, 0.17]
            for sign in (1, -1):
                rim = project(ring + [sign * who.eye_gap, -0.12], pose)
                self._line(canvas, rim, (30, 30, 30), 0.025)

    def _camera(self, canvas: np.ndarray, gain: float) -> np.ndarray:
        size = (self.size, self.size)
        image = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
        image = image.astype(np.float32) * (self.light * np.float32(gain))
        sigma = self.scene.blur * self.size / 64
        if sigma > 0.2:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        noise = self.rng.standard_normal(image.shape, np.float32)
        image += np.float32(self.scene.noise) * noise
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _bgr(colour: Colour) -> tuple[float, ...]:
    return tuple(np.atleast_1d(colour).astype(float).tolist())
