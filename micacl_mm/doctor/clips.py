"""The files of the clips: missing, empty, duplicate, damaged, odd."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Optional

import numpy as np
from mmengine.dataset import Compose

from micacl_mm.hooks.bad_files import (
    BadFileError,
    WatchedPipeline,
    clip_faults,
)
from micacl_mm.utils.workers import count_cores, run_all

from .core import Case, Finding, check, number, some

_AGAIN = 'unpack these clips again'
_PART = ('offset', 'start_index', 'total_frames')
_CHUNK = 32  # frames that are decoded at once
_SMALL = 32  # pixels
_RUN = 3  # frames in a row that two copies of a clip share
_SHARED = 0.8  # of the frames of the shorter one


@dataclass(frozen=True)
class Clip:
    """A clip on disk: its folder or video, and where it is listed.

    ``sizes`` are the bytes of its files, -1 for an absent one.
    """

    path: str
    video_id: str
    label: Optional[int]
    loader: str
    dataset: Any
    index: int
    files: tuple[str, ...]
    sizes: tuple[int, ...]

    def named(self, size: int) -> list[str]:
        """The last two parts of the paths of its files of a size."""
        files = zip(self.files, self.sizes, strict=True)
        return [_short(file) for file, found in files if found == size]


def list_clips(datasets: Iterable[tuple[str, Any]]) -> list[Clip]:
    """Look up the files of all clips, each once.

    Not of those from elsewhere: a pack, skeletons, a server.
    """
    found: dict[tuple, tuple] = {}
    for name, dataset in datasets:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            path = str(info.get('frame_dir') or info.get('filename') or '')
            elsewhere = 'pack' in info or 'keypoint' in info or '://' in path
            if path and not elsewhere:
                # Several clips may be parts of one folder.
                part = path, *map(info.get, _PART)
                found.setdefault(part, (info, path, name, dataset, index))
    # Threads, as a network disk makes each file wait.
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(lambda args: _stat(*args), found.values()))


def _stat(
    info: dict, path: str, loader: str, dataset: Any, index: int
) -> Clip:
    files = [path]
    if os.path.isdir(path):
        files = [os.path.join(path, name) for name in _frames(path, info)]
    sizes = [os.stat(f).st_size if os.path.exists(f) else -1 for f in files]
    return Clip(
        path=path,
        video_id=str(info.get('video_id') or path),
        label=info.get('label'),
        loader=loader,
        dataset=dataset,
        index=index,
        files=tuple(files),
        sizes=tuple(sizes),
    )


def _frames(path: str, info: dict) -> Sequence[str]:
    """Files that a dataset takes from a folder; others may lie there."""
    if info.get('frames'):
        return info['frames']
    template, total = info.get('filename_tmpl'), info.get('total_frames')
    if not template or not isinstance(total, int):
        return sorted(n for n in os.listdir(path) if n[0] != '.')
    first = info.get('start_index', 1) + info.get('offset', 0)
    numbers = range(first, first + total)
    if info.get('modality') == 'Flow':
        return [template.format(axis, i) for i in numbers for axis in 'xy']
    return [template.format(i) for i in numbers]


@check('files', 'data')
def files(case: Case) -> Iterator[Finding]:
    """All listed files are there, none is empty, none is of two clips."""
    clips = list_clips(case.built())
    case.clips = [clip for clip in clips if set(clip.sizes) != {-1}]
    gone = [clip.path for clip in clips if set(clip.sizes) == {-1}]
    absent = [name for clip in case.clips for name in clip.named(-1)]
    empty = [name for clip in case.clips for name in clip.named(0)]
    if gone:
        yield Finding.failed(
            f'{len(gone)} of {number(len(clips), "listed clip")} are not '
            f'there: {some(gone)}',
            f'{_AGAIN}, or correct annotation and data_prefix',
        )
    if absent:
        yield Finding.failed(
            f'{number(len(absent), "listed frame")} not there: {some(absent)}',
            f'{_AGAIN}, or correct the annotation: frames are counted from '
            'start_index',
        )
    if empty:
        yield Finding.failed(
            f'{number(len(empty), "file")} of zero bytes: {some(empty)}',
            f'{_AGAIN}, or delete the files',
        )
    twice = list(_named_twice(case))
    if twice:
        yield Finding.warned(
            f'{number(len(twice), "clip")} in two folders: {some(twice)}',
            'remove the folder that does not belong there',
        )
    if not (gone or absent or empty or twice):
        total = sum(len(clip.files) for clip in clips)
        yield Finding.passed(f'{number(total, "file")} of {len(clips)} clips')


def _named_twice(case: Case) -> Iterator[str]:
    """Clips that two folders of one copy name, such as 00002 and 000002."""
    dataset = case.ours
    if dataset is not None and dataset.copy:
        places: dict[tuple[str, str], list[str]] = defaultdict(list)
        root = os.path.join(dataset.data_root, dataset.copy)
        for clip in dataset.find_clips(root):
            places[clip.key, clip.base].append(_short(clip.path))
        yield from (' = '.join(p) for p in places.values() if len(p) > 1)


@check('duplicates', 'data')
def duplicates(case: Case) -> Iterator[Finding]:
    """No two clips have the same frames, or nearly all of them."""
    if not case.clips:
        yield Finding.skipped('no clips on disk')
        return
    leaks, torn, copies = [], [], []
    for group in find_copies(case.clips):
        names = ' = '.join(sorted(clip.video_id for clip in group)[:4])
        if _straddles(case, group):
            leaks.append(names)
        elif len({clip.label for clip in group}) > 1:
            torn.append(names)
        else:
            copies.append(names)
    cure = 'find out which name is right, and unpack the other clip again'
    if leaks:
        text = f'in train and test by two names: {some(leaks)}'
        yield Finding.failed(text, cure)
    if torn:
        text = f'one clip with different labels: {some(torn)}'
        yield Finding.failed(text, cure)
    if copies:
        yield Finding.warned(f'one clip by two names: {some(copies)}', cure)
    if not leaks and not torn and not copies:
        yield Finding.passed(f'none among {len(case.clips)} clips')


def find_copies(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Groups of clips that share most of their files, byte for byte.

    Only clips with frames of the same sizes in a row are read.
    """
    alike: dict[tuple, list[Clip]] = defaultdict(list)
    for clip in clips:
        count = max(1, len(clip.sizes) - _RUN + 1)
        runs = {clip.sizes[i : i + _RUN] for i in range(count)}
        # A few of them, the same ones in each copy even if it lost a frame.
        for run in sorted(runs, key=hash)[:4]:
            if max(run, default=0) > 0:
                alike[run].append(clip)
    digests: dict[str, set[bytes]] = {}
    groups: dict[str, list[Clip]] = {}
    for found in alike.values():
        for clip in found[1:]:
            pair = [_digests(c, digests) for c in (found[0], clip)]
            least = min(map(len, pair))
            same = len(pair[0] & pair[1]) >= max(1, _SHARED * least)
            group = groups.setdefault(found[0].path, [found[0]])
            if same and clip not in group:
                group.append(clip)
    return [group for group in groups.values() if len(group) > 1]


def _digests(clip: Clip, known: dict[str, set[bytes]]) -> set[bytes]:
    if clip.path not in known:
        found = known[clip.path] = set()
        for path in clip.files:
            try:
                with open(path, 'rb') as file:
                    found.add(hashlib.sha256(file.read()).digest())
            except OSError:  # the check of decoding names it
                continue
    return known[clip.path]


def _straddles(case: Case, group: Sequence[Clip]) -> bool:
    """Whether one is trained on and another one tested, in any fold."""
    if len({clip.loader for clip in group}) > 1:
        return True
    names = {clip.video_id for clip in group}
    tests = (rows for (_, split), rows in case.rows.items() if split == 'test')
    inside = (names & {row.video_id for row in rows} for rows in tests)
    return any(found and found != names for found in inside)


@dataclass
class ClipReport:
    """Of a decoded clip: bad files with the reason, and what is unusual."""

    path: str
    damaged: dict[str, str] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


@check('decode', 'data')
def decode(case: Case) -> Iterator[Finding]:
    """The decoders of the pipeline can read every frame."""
    count, clips = case.options.decode, case.clips
    if not clips or count == 0:
        yield Finding.skipped('not asked for' if clips else 'no clips on disk')
        return
    if count is not None:  # evenly spread, and the same ones each time
        count = min(count, len(clips))
        clips = [clips[i * len(clips) // count] for i in range(count)]
    case.reports = decode_clips(clips, count_cores())
    damaged = [
        f'{_short(file)} {reason}'
        for report in case.reports
        for file, reason in report.damaged.items()
    ]
    of = f'{len(clips)} of {len(case.clips)} clips'
    if damaged:
        text = f'{number(len(damaged), "bad file")} in {of}: {some(damaged)}'
        policy = (case.hook('SafeDataHook') or {}).get('bad_data', 'raise')
        if policy == 'raise':
            cure = f"{_AGAIN}, or set bad_data='resample' in SafeDataHook"
            yield Finding.failed(text, cure)
        else:
            yield Finding.warned(
                f'{text}; SafeDataHook omits these clips', _AGAIN
            )
    else:
        more = '' if count is None else ' (--decode all checks every one)'
        yield Finding.passed(f'{of}, every frame{more}')


@check('content', 'decode')
def content(case: Case) -> Iterator[Finding]:
    """Frames show something."""
    odd = [
        f'{os.path.basename(report.path)} {", ".join(report.odd)}'
        for report in case.reports
        if report.odd
    ]
    if odd:
        yield Finding.warned(
            f'{number(len(odd), "unusual clip")}: {some(odd)}',
            'look at these clips, and unpack or crop them again',
        )
    else:
        yield Finding.passed('no black, still, tiny or grey frames')


def decode_clips(clips: Sequence[Clip], workers: int) -> list[ClipReport]:
    """Decode clips in processes; reports come in any order."""

    def died(index: int) -> ClipReport:
        path = clips[index].path
        return ClipReport(path, {path: 'makes the decoder crash'})

    # The clips go to each process once, with their datasets.
    work, numbers = partial(_decode_one, clips), range(len(clips))
    return list(run_all(numbers, work, workers, died, len(clips) > 500))


def _decode_one(clips: Sequence[Clip], index: int) -> ClipReport:
    return decode_clip(clips[index])


def decode_clip(clip: Clip) -> ClipReport:
    """Decode every frame of a clip with the decoders of its pipeline."""
    report, content = ClipReport(clip.path), _Content()
    transforms = clip.dataset.pipeline.transforms
    names = [type(transform).__name__ for transform in transforms]
    ends = [i for i, n in enumerate(names) if n.endswith(('Decode', 'Load'))]
    if not ends:  # a pipeline without decoder
        return report
    opening = [t for t in transforms if type(t).__name__.endswith('Init')]
    info = dict(clip.dataset.get_data_info(clip.index))
    info.setdefault('modality', 'RGB')
    try:
        if opening:  # as a training or test samples it
            _run(transforms[: ends[0] + 1], info)
        data = _run(opening, info)
        first = data.get('start_index', 0)
        for start in range(0, data['total_frames'], _CHUNK):
            stop = min(start + _CHUNK, data['total_frames'])
            data['frame_inds'] = np.arange(first + start, first + stop)
            content.add(_run([transforms[ends[0]]], data)['imgs'])
    except BadFileError as error:
        report.damaged = error.faults
        return report
    if len(content.sizes) > 1:  # of which each chunk has one
        report.damaged = clip_faults(clip.files) or {
            clip.path: 'has frames of several sizes'
        }
    report.odd = content.oddities()
    return report


def _run(transforms: Sequence[Any], info: dict) -> dict:
    return WatchedPipeline(Compose(transforms))(dict(info))


class _Content:
    """What the frames of a clip show."""

    def __init__(self) -> None:
        self.count, self.sizes = 0, Counter()
        self.black = self.grey = self.still = True
        self.first: Optional[np.ndarray] = None

    def add(self, images: Sequence[np.ndarray]) -> None:
        for image in images:
            if self.first is None:
                self.first = image
            self.count += 1
            self.sizes[image.shape[:2]] += 1
            self.black = self.black and image.max() < 16
            self.still = self.still and np.array_equal(image, self.first)
            self.grey = self.grey and not np.ptp(image, axis=-1).any()

    def oddities(self) -> list[str]:
        height, width = min(self.sizes, default=(_SMALL, _SMALL))
        found = {
            'has one frame': self.count == 1,
            'is black': self.black,
            'shows one picture': self.still and self.count > 1,
            'is grey': self.grey and not self.black,
            f'has {width} x {height} px': min(height, width) < _SMALL,
        }
        return [text for text, is_so in found.items() if is_so]


def _short(path: str) -> str:
    """The last two parts of a path."""
    return '/'.join(path.split(os.sep)[-2:])
