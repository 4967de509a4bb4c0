"""Drawn faces as somebody's own set: a folder for each class."""

from pathlib import Path

import cv2

from micacl_mm.synthetic.clip import ClipSpec, render_clip
from micacl_mm.synthetic.difficulty import LEVELS

#: Folder of the class, its emotion, and how many clips: 5 to 1.
OWN = {
    '1_joy': ('Happy', 15),
    '2_calm': ('Neutral', 9),
    '10_rage': ('Angry', 3),
}


def draw_clip(emotion, clip_id, person, size=32):
    spec = ClipSpec(clip_id, (emotion,), person, 0)
    return render_clip(spec, 0, 'dfew', size, LEVELS['easy'])


def write_mp4(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    size = frames[0].shape[1::-1]
    codec = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), codec, 25, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


def write_jpgs(folder, frames, gap=2):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        name = f'{1 + gap * number:05d}.jpg'
        assert cv2.imwrite(str(folder / name), frame)


def write_own(root, classes=OWN, frames=False):
    """Write clips named by person, six of a person."""
    clip_id = 0
    for name, (emotion, total) in classes.items():
        for number in range(total):
            person = clip_id // 6
            path = Path(root, name, f'p{person:02d}_{number:03d}')
            drawn = draw_clip(emotion, clip_id, person)
            if frames:
                write_jpgs(path, drawn)
            else:
                write_mp4(path.with_suffix('.mp4'), drawn)
            clip_id += 1
