"""The mp4 clips beside the frames."""

import cv2
import numpy as np
import pytest

from micacl_mm.synthetic.clip import clip_layout
from micacl_mm.synthetic.plan import plan_dfew

SEED = 3  # as in conftest.py


def test_videos_have_all_frames(dfew, ferv39k):
    decord = pytest.importorskip('decord')
    root, _ = dfew
    plan = plan_dfew(40, SEED, (1, 2, 3, 4, 5), 2)
    for clip in plan.clips:
        length, _ = clip_layout(clip, SEED, 'dfew')
        path = root / f'Clip/original/{int(clip.name)}.mp4'
        reader = decord.VideoReader(str(path))
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
