"""The mp4 clips beside the frames."""

import cv2
import numpy as np
import pytest

from micacl_mm.datasets.synthetic import ClipSpec
from micacl_mm.datasets.synthetic.clip import clip_layout

SEED = 3  # as in conftest.py


def test_videos_have_all_frames(dfew, ferv39k):
    decord = pytest.importorskip('decord')
    root, summary = dfew
    for number in range(1, summary['clips'] + 1):
        length, _ = clip_layout(ClipSpec(number, ('Sad',), 0, 0), SEED, 'dfew')
        reader = decord.VideoReader(str(root / f'Clip/original/{number}.mp4'))
        assert len(reader) == length
        assert reader[length - 1].shape == (32, 32, 3)
    video = next((ferv39k[0] / '0_7_LabelClips').rglob('*.mp4'))
    capture = cv2.VideoCapture(str(video))
    assert capture.read()[0]


def test_video_shows_the_frames(dfew):
    root, _ = dfew
    frame = root / 'Clip/clip_224x224/00001/00001_00001.jpg'
    image = cv2.imread(str(frame)).astype(int)
    ok, first = cv2.VideoCapture(str(root / 'Clip/original/1.mp4')).read()
    assert ok and np.abs(image - first).mean() < 20
