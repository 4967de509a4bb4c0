"""Tiny clips and sets, made on the spot, for all tests."""

import contextlib
import io
import logging
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CLASSES = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')
STEP = 12  # grey levels between two frames; JPEG and mp4v stay far below


# ---- pictures


def grey(number, size=16):
    """The picture of a frame's position in its clip."""
    return np.full((size, size, 3), STEP * number, np.uint8)


def frame_number(image):
    """Position of a decoded frame in its clip."""
    return int(np.rint(np.asarray(image, float).mean() / STEP))


def picture(height=96, width=96, seed=0):
    """Smooth colours with some edges, (H, W, 3), RGB."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.circle(image, (width // 2, height // 3), width // 5, (250, 9, 90), -1)
    return image


def noise(seed=0, size=24):
    """Random pixels, (size, size, 3)."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (size, size, 3), np.uint8)


def compressed(image, form='jpeg', mode='RGB', **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, form, **options)
    return file.getvalue()


# ---- clips


def touch(path, content=b'x'):
    """A file that is there, and nothing that can be decoded."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_frames(folder, names):
    """Write one image for each name, the k-th with grey level k."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), grey(number))


def write_clip(folder, count=6, suffix='jpg', **options):
    """A folder of pictures; returns the clip's data, as a data set does."""
    for number in range(count):
        data = compressed(picture(seed=number), **options)
        touch(Path(folder, f'{number:03d}.{suffix}'), data)
    return dict(
        frame_dir=str(folder),
        filename_tmpl='{:03d}.' + suffix,
        total_frames=count,
        start_index=0,
        modality='RGB',
        label=0,
    )


def write_video(path, frames, fps=25):
    """Write BGR images, or so many frames of grey levels."""
    if isinstance(frames, int):
        frames = [grey(number, 64) for number in range(frames)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = 'FLV1' if path.suffix == '.flv' else 'mp4v'
    code = cv2.VideoWriter_fourcc(*name)
    writer = cv2.VideoWriter(str(path), code, fps, frames[0].shape[1::-1])
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


# ---- DFEW and FERV39k


def write_dfew_split(root, split, rows, fold=1, header=True, end='\n'):
    """Write a split file of ``(name, label)``; returns its path."""
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
    """Write a split file and two frames a clip."""
    for clip in clips:
        write_frames(Path(root, base, clip), ['0001.jpg', '0002.jpg'])
    return write_ferv_split(root, split, clips)


# ---- CREMA-D, RAVDESS, MAFW and CAER

_MAFW = (
    *('anger', 'disgust', 'fear', 'happiness', 'neutral', 'sadness'),
    *('surprise', 'contempt', 'anxiety', 'helplessness', 'disappointment'),
)
_CAER = ('Anger', 'Disgust', 'Fear', 'Happy', 'Neutral', 'Sad', 'Surprise')


def open_clips(kind):
    """Clips of fold 1 by split, one a class and person: path and label."""
    codes, people, form = {
        'cremad': (
            ('ANG', 'DIS', 'FEA', 'HAP', 'NEU', 'SAD'),
            {'train': ('1019', '1020'), 'test': ('1001',)},
            '{person}_DFA_{code}_XX',
        ),
        'ravdess': (
            [f'{code:02d}' for code in range(1, 9)],
            {'train': ('05', '09'), 'test': ('01',)},
            'Actor_{person}/02-01-{code}-01-01-01-{person}',
        ),
        'mafw': (
            range(11),
            {'train': (0, 11), 'test': (22,)},
            '{number:05d}',
        ),
        'caer': (
            _CAER,
            {'train': ('1', '2'), 'validation': ('1',), 'test': ('1',)},
            '{split}/{code}/000{person}',
        ),
    }[kind]
    return {
        split: [
            (
                form.format(
                    split=split,
                    person=person,
                    code=code,
                    number=person + label + 1 if kind == 'mafw' else 0,
                ),
                label,
            )
            for person in names
            for label, code in enumerate(codes)
        ]
        for split, names in people.items()
    }


def open_videos(kind):
    """Folder and suffix of the videos of a release."""
    return {
        'cremad': ('VideoFlash', '.flv'),
        'ravdess': ('', '.mp4'),
        'mafw': ('clips', '.mp4'),
        'caer': ('CAER', '.avi'),
    }[kind]


def write_open_set(root, kind, write, videos=False):
    """Write the tree of a release; ``write`` fills a path by its label."""
    folder, suffix = open_videos(kind) if videos else ('faces', '')
    splits = open_clips(kind)
    for clip, label in [pair for pairs in splits.values() for pair in pairs]:
        write(Path(root, folder, clip + suffix), label)
    for split, pairs in splits.items() if kind == 'mafw' else ():
        lines = [f'{clip}.mp4 {_MAFW[label]}\r\n' for clip, label in pairs]
        path = 'Train & Test Set/single/no_caption/set_1'
        touch(Path(root, path, f'{split}.txt'), ''.join(lines).encode())


# ---- own classes

#: Folder of the class, and how many clips: 5 to 1.
OWN = {'1_joy': 15, '2_calm': 9, '10_rage': 3}


def write_own(root, classes=OWN, frames=False):
    """Write a folder a class, clips named by person, six of a person."""
    clip_id = 0
    for seed, (name, total) in enumerate(classes.items()):
        for number in range(total):
            clip = f'p{clip_id // 6:02d}_{number:03d}'
            path, image = Path(root, name, clip), picture(32, 32, seed)
            shown = [np.roll(image, step, axis=1) for step in range(6)]
            if frames:
                for place, frame in enumerate(shown):
                    touch(path / f'{1 + 2 * place:05d}.jpg', compressed(frame))
            else:
                write_video(path.with_suffix('.mp4'), shown)
            clip_id += 1


# ---- lists of MMAction2

#: Ways that a square goes: falls, rises, crosses. No mirror image of one of
#: them is another.
ACTIONS = ((0, 1), (0, -1), (1, 0))


def draw_action(label, rng, size=64, count=20, side=12):
    """Frames of a square on its way from one edge to the other."""
    room = size - side
    step = np.array(ACTIONS[label])
    across = int(rng.integers(room))
    colour = rng.integers(150, 256, 3).tolist()
    frames = []
    for time in np.linspace(0, room, count):
        at = np.where(step > 0, time, np.where(step < 0, room - time, across))
        x, y = at.round().astype(int).tolist()
        frames.append(np.full((size, size, 3), 40, np.uint8))
        corner = (x + side, y + side)
        cv2.rectangle(frames[-1], (x, y), corner, colour, -1)
    return frames


def write_actions(root, **splits):
    """Write videos and lists; each split names its clips of each class."""
    rng = np.random.default_rng(0)
    for split, counts in splits.items():
        lines = []
        for label, count in enumerate(counts):
            for number in range(count):
                name = f'{split}/{label}_{number}.mp4'
                frames = draw_action(label, rng)
                write_video(Path(root, 'videos', name), frames)
                lines.append(f'{name} {label}\n')
        Path(root, f'{split}.txt').write_text(''.join(lines))


# ---- looking on


def files_below(root):
    """Every path below a root with its time of change."""
    return {p: p.lstat().st_mtime_ns for p in Path(root).rglob('*')}


@contextlib.contextmanager
def logged():
    """Collect what MMEngine's current logger says."""
    from mmengine.logging import MMLogger

    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
