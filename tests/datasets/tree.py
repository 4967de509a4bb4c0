"""Tiny trees of both sets, whose pixels carry clip and frame number."""

import contextlib
import logging
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import MMLogger

CLASSES = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')
STEP = 12  # grey levels between two frames; JPEG and mp4v stay far below


def grey(number):
    return np.full((16, 16, 3), STEP * number, np.uint8)


def frame_number(image):
    """Position of a decoded frame in its clip."""
    return np.rint(np.asarray(image, float).mean() / STEP).astype(int)


def write_frames(folder, names):
    """Write one image for each name, the k-th with grey level k."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), grey(number))


def write_video(path, length):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fourcc = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), fourcc, 25, (64, 64))
    assert writer.isOpened()
    for number in range(length):
        writer.write(cv2.resize(grey(number), (64, 64)))
    writer.release()


def write_dfew_split(root, split, rows, fold=1, header=True, end='\n'):
    path = Path(root, 'EmoLabel_DataSplit', f'{split}(single-labeled)')
    path.mkdir(parents=True, exist_ok=True)
    lines = ['video_name,label'] * header
    lines += [f'{name},{label}' for name, label in rows]
    path = path / f'set_{fold}.csv'
    path.write_bytes((end.join(lines) + end).encode())
    return path


def write_dfew(root, rows, clips='Clip/clip_224x224', split='train', **kw):
    """Write a split file and two frames a clip, with gaps in the names."""
    for name, _ in rows:
        clip = f'{int(name):05d}'
        names = [f'{clip}_{number:05d}.jpg' for number in (3, 9)]
        write_frames(Path(root, clips, clip), names)
    return write_dfew_split(root, split, rows, **kw)


def write_ferv_split(root, split, clips, name=None, end='\n'):
    """Write All_scenes/<split>_All.csv, or another file named."""
    path = Path(root, '4_setups', name or f'All_scenes/{split}_All.csv')
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'{clip} {clip.split("/")[1]}' for clip in clips]
    path.write_bytes((end.join(lines) + end).encode())
    return path


def write_ferv(root, clips, base='2_ClipsforFaceCrop', split='train'):
    for clip in clips:
        write_frames(Path(root, base, clip), ['0001.jpg', '0002.jpg'])
    return write_ferv_split(root, split, clips)


def files_below(root):
    """Every path below a root with its time of change."""
    return {p: p.lstat().st_mtime_ns for p in Path(root).rglob('*')}


@contextlib.contextmanager
def logged():
    """Collect what MMEngine's current logger says."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
