"""The data path against MMAction2's stock data sets, on the same files.

CPU seconds of one process for one training clip, decoded, augmented and
packed: what a worker core delivers, whatever else the machine does. Drawn
faces of 224 px, DFEW's size; files are in the page cache.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.datasets import DFEWDataset, skipping_video
from micacl_mm.datasets.images import decode_image
from micacl_mm.datasets.packs import pack_frames
from micacl_mm.registry import DATASETS
from micacl_mm.synthetic import make_synthetic

from .figure import Figure, time_figure
from .options import CONFIGS, Options
from .startup import make_stock_files
from .timing import compare

#: Time of ours over stock's: 1.5 times the clips a second.
BAR = 1 / 1.5
SIZE = 224
#: What the fast transforms stand for.
STOCK = {
    'ClipColorJitter': 'ColorJitter',
    'FaceFrameDecode': 'RawFrameDecode',
    'FastVideoInit': 'DecordInit',
}
#: Frames of a re-encoded video, the median of DFEW's clips.
FRAMES = 70
Run = Callable[[int], object]


def measure(options: Options) -> list[Figure]:
    """Measure clips from folders, from a pack and from videos."""
    init_default_scope('mmaction')
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)  # as in a worker
    try:
        with tempfile.TemporaryDirectory(dir=options.work_dir) as folder:
            return _measure(Path(folder), options.quick)
    finally:
        cv2.setNumThreads(threads)


def _measure(folder: Path, quick: bool) -> list[Figure]:
    root = folder / 'data'
    clips, rounds, size = (4, 2, 64) if quick else (16, 7, SIZE)
    # As few as there can be: each class needs clips to train and test on.
    make_synthetic(root, num_clips=40, size=size, folds=(1,), videos=True)
    found = measure_frames(root, folder, clips, rounds)
    for codec in ('mpeg4', 'h264'):
        found += measure_videos(root, folder, codec, clips, rounds)
    return found


def measure_frames(
    root: Path, folder: Path, clips: int, rounds: int
) -> list[Figure]:
    """Stock RawframeDataset, ours from folders and pack, decoding alone.

    Args:
        root (Path): A set in DFEW's layout.
        folder (Path): For what is written.
        clips (int): Most clips to read in a round.
        rounds (int): Rounds of all four.
    """
    make_stock_files(root, folder)
    pack = str(folder / 'faces.lmdb')
    bare = DFEWDataset(str(root), pipeline=[])
    pack_frames(str(Path(bare.get_data_info(0)['frame_dir']).parent), pack)
    stock = build_stock(
        'RawframeDataset', folder / 'stock.txt', pipeline_of('frames', True)
    )
    ours = dict(data_root=str(root), pipeline=pipeline_of('frames'))
    folders, packed = DFEWDataset(**ours), DFEWDataset(**ours, pack=pack)
    clips = min(clips, len(folders))
    sampler = pipeline_of('frames')[:1]
    files = [
        _read_sampled(DFEWDataset(str(root), sampler)[i]) for i in range(clips)
    ]

    def decode(index: int) -> None:
        for data in files[index]:
            decode_image(data, '')

    runs = [stock.__getitem__, folders.__getitem__, packed.__getitem__, decode]
    names = ['folders', 'pack', 'decoding alone']
    return figures('frames', names, in_turn(runs, clips, rounds))


def measure_videos(
    root: Path, folder: Path, codec: str, clips: int, rounds: int
) -> list[Figure]:
    """Stock VideoDataset, ours, and decoding alone.

    Args:
        root (Path): A set in DFEW's layout, with videos.
        folder (Path): For what is written.
        codec (str): ``'mpeg4'`` for the drawn videos, ``'h264'`` for videos
            of the frames, as long as DFEW's and with B-frames, for which
            PyAV is needed.
        clips (int): Most clips to read in a round.
        rounds (int): Rounds of all three.
    """
    drawn = DFEWDataset(str(root), pipeline=[], source='videos')
    clips = min(clips, len(drawn))
    paths = [drawn.get_data_info(i)['filename'] for i in range(clips)]
    if codec == 'h264':
        if skipping_video.av is None:
            return []
        paths = [encode(Path(p), folder / 'h264') for p in paths]
    listed = folder / f'{codec}.txt'
    listed.write_text(''.join(f'{path} 0\n' for path in paths))
    stock, ours = (
        build_stock('VideoDataset', listed, pipeline_of('videos', plain))
        for plain in (True, False)
    )
    runs, names = [stock.__getitem__, ours.__getitem__], ['videos']
    if skipping_video.av is not None:
        opened = build_stock('VideoDataset', listed, pipeline_of('videos')[:2])

        def decode(index: int) -> None:
            info = opened[index]
            info['video_reader'].get_batch(info['frame_inds'])

        runs.append(decode)
        names.append('decoding alone')
    return figures(codec, names, in_turn(runs, clips, rounds))


def pipeline_of(source: str, stock: bool = False) -> list[dict]:
    """The training pipeline of the recipe on DFEW, or what it stands for."""
    path = CONFIGS / '_base_' / 'datasets' / 'dfew.py'
    steps = [dict(step) for step in Config.fromfile(path).train_pipeline]
    kinds = [step['type'] for step in steps]
    at = kinds.index('SampleInstances')
    # Whatever the environment says.
    head = [dict(type='FastVideoInit')] if source == 'videos' else []
    kind = 'DecordDecode' if source == 'videos' else 'FaceFrameDecode'
    steps = [*head, steps[at], dict(type=kind), *steps[at + 2 :]]
    if stock:
        for step in steps:
            step['type'] = STOCK.get(step['type'], step['type'])
    return steps


def build_stock(
    kind: str, annotation: Path, pipeline: Sequence[dict]
) -> object:
    """A data set of MMAction2."""
    return DATASETS.build(
        dict(type=kind, ann_file=str(annotation), pipeline=deepcopy(pipeline))
    )


def in_turn(runs: Sequence[Run], clips: int, rounds: int) -> list[list[float]]:
    """CPU seconds a clip of each run, a number a round.

    All see the same clips and draw the same random numbers.
    """
    times: list[list[float]] = [[] for _ in runs]
    for number in range(-1, rounds):  # the first to warm up
        for run, found in zip(runs, times, strict=True):
            random.seed(number)
            np.random.seed(number + 1)
            start = time.process_time()
            for index in range(clips):
                run(index)
            if number >= 0:
                found.append((time.process_time() - start) / clips)
    return times


def figures(
    source: str, names: Sequence[str], times: Sequence[Sequence[float]]
) -> list[Figure]:
    """One figure for each but the first, which they are compared with."""
    return [
        time_figure(
            dict(source=source, what=name),
            compare(ours, times[0]),
            'stock data set and pipeline',
            bar=None if name == 'decoding alone' else BAR,
            note='the limit' if name == 'decoding alone' else '',
        )
        for name, ours in zip(names, times[1:], strict=True)
    ]


def _read_sampled(info: dict) -> list[bytes]:
    names = info['filename_tmpl']
    chosen = np.unique(info['frame_inds']).tolist()
    paths = [Path(info['frame_dir'], names.format(i)) for i in chosen]
    return [path.read_bytes() for path in paths]


def encode(path: Path, folder: Path) -> str:
    """Play a video forth and back as an H.264 file with B-frames.

    Args:
        path (Path): Any video.
        folder (Path): For the file.

    Returns:
        str: The file, :data:`FRAMES` frames long.
    """
    av = skipping_video.av
    folder.mkdir(exist_ok=True)
    out = folder / path.name
    with av.open(str(path)) as video:
        images = [f.to_ndarray(format='rgb24') for f in video.decode(video=0)]
    images = images + images[::-1]
    with av.open(str(out), 'w') as video:
        stream = video.add_stream('libx264', rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = 'yuv420p'
        for number in range(FRAMES):
            image = images[number % len(images)]
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return str(out)
