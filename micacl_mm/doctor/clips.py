"""The files of the clips: missing, empty, duplicate, damaged, odd."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.dataset import Compose

from micacl_mm.datasets.base import BaseDFERDataset
from micacl_mm.datasets.class_folder_dataset import ClassFolderDataset
from micacl_mm.datasets.splits import cut_validation
from micacl_mm.hooks.bad_files import (
    BadFileError,
    WatchedPipeline,
    clip_faults,
)
from micacl_mm.utils.workers import Progress, run_all

from .core import (
    Case,
    Finding,
    check,
    failed,
    number,
    passed,
    skipped,
    some,
    warned,
)

_AGAIN = 'unpack these clips again'
_PART = ('offset', 'start_index', 'total_frames')
_CHUNK = 32  # frames that are decoded at once
_SMALL = 32  # pixels


@dataclass(frozen=True)
class Clip:
    """A clip on disk.

    Args:
        path (str): Its folder of frames, or its video.
        video_id (str): Its name in the set.
        label (int, optional): Its class.
        loader (str): The first one that lists it.
        dataset: The dataset that lists it.
        index (int): Its place there.
        files (tuple[str, ...]): Its files, frames in order.
        sizes (tuple[int, ...]): Bytes of each file.
        changed (int): Time of the last change, in nanoseconds.
        absent (tuple[str, ...]): Frames that are listed and absent.
    """

    path: str
    video_id: str
    label: Optional[int]
    loader: str
    dataset: Any
    index: int
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    changed: int
    absent: tuple[str, ...] = ()


def list_clips(
    datasets: Iterable[tuple[str, Any]],
) -> tuple[list[Clip], dict[str, str]]:
    """Look up the files of all clips, each once.

    Args:
        datasets (Iterable[tuple[str, Any]]): Loader and dataset.

    Returns:
        tuple[list[Clip], dict[str, str]]: The clips that are there, and the
        loader by path of those that are not. Clips from elsewhere (a pack,
        skeletons, a server) are neither.
    """
    found: dict[tuple, tuple] = {}
    for name, dataset in datasets:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            path = info.get('frame_dir') or info.get('filename')
            if path and not _is_elsewhere(info):
                # Several clips may be parts of one folder.
                part = tuple(map(info.get, _PART))
                found.setdefault((path, *part), (name, dataset, index, info))
    # Threads, as a network disk makes each file wait.
    with ThreadPoolExecutor(max_workers=16) as pool:
        clips = list(pool.map(lambda args: _stat(*args), found.values()))
    absent = {
        str(key[0]): found[key][0]
        for key, clip in zip(found, clips, strict=True)
        if clip is None
    }
    return [clip for clip in clips if clip is not None], absent


def _is_elsewhere(info: dict) -> bool:
    path = str(info.get('frame_dir') or info.get('filename'))
    return 'pack' in info or 'keypoint' in info or '://' in path


def _stat(loader: str, dataset: Any, index: int, info: dict) -> Optional[Clip]:
    path = str(info.get('frame_dir') or info.get('filename'))
    if not os.path.exists(path):
        return None
    files = [path]
    if os.path.isdir(path):
        files = [os.path.join(path, name) for name in _frames(path, info)]
    stats = {}
    for file in files:
        with suppress(FileNotFoundError):
            stats[file] = os.stat(file)
    return Clip(
        path=path,
        video_id=str(info.get('video_id') or path),
        label=info.get('label'),
        loader=loader,
        dataset=dataset,
        index=index,
        files=tuple(stats),
        sizes=tuple(stat.st_size for stat in stats.values()),
        changed=max((s.st_mtime_ns for s in stats.values()), default=0),
        absent=tuple(file for file in files if file not in stats),
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


@check('missing clips', 'data')
def missing_clips(case: Case) -> Iterator[Finding]:
    """All listed files are there, none is empty, no clip is dropped."""
    case.clips, case.absent = list_clips(case.built())
    cure, findings = f'{_AGAIN}, or correct annotation and data_prefix', []
    if case.absent:
        total = len(case.clips) + len(case.absent)
        findings.append(
            failed(
                f'{len(case.absent)} of {number(total, "listed clip")} are '
                f'not there: {some(list(case.absent))}',
                cure,
            )
        )
    absent = [file for clip in case.clips for file in clip.absent]
    if absent:
        findings.append(
            failed(
                f'{number(len(absent), "listed frame")} not there: '
                f'{some(absent)}',
                f'{cure}: frames are counted from start_index',
            )
        )
    empty = [
        _short(file)
        for clip in case.clips
        for file, size in zip(clip.files, clip.sizes, strict=True)
        if not size
    ]
    if empty:
        findings.append(
            failed(
                f'{number(len(empty), "file")} of zero bytes: {some(empty)}',
                f'{_AGAIN}, or delete the files',
            )
        )
    dropped = [
        f'{wanted - len(dataset)} of {wanted} of {name}'
        for name, dataset in case.built()
        if isinstance(dataset, BaseDFERDataset)
        for wanted in [_expected(dataset)]
        if len(dataset) < wanted
    ]
    if dropped:
        findings.append(
            warned(
                f"missing='drop' omits {', '.join(dropped)}",
                f'{_AGAIN}; the log of a training names them',
            )
        )
    files = sum(len(clip.files) for clip in case.clips)
    text = f'none; {number(files, "file")} of {len(case.clips)} clips'
    yield from findings or [passed(text)]


def _expected(dataset: BaseDFERDataset) -> int:
    if isinstance(dataset, ClassFolderDataset):
        return len(dataset.read_split(dataset.split))
    rows = dataset.read_split('test' if dataset.split == 'test' else 'train')
    if dataset.split == 'test' or not dataset.val_ratio:
        return len(rows)
    parts = cut_validation(rows, dataset.val_ratio, dataset.val_seed)
    return len(parts[dataset.split == 'val'])


@check('duplicates', 'data')
def duplicates(case: Case) -> Iterator[Finding]:
    """No two clips have the same content."""
    if not case.clips:
        yield skipped('no clips on disk')
        return
    leaks, torn, copies = [], [], []
    for group in _equal(case.clips):
        names = ' = '.join(clip.video_id for clip in group[:4])
        if _straddles(case, group):
            leaks.append(names)
        elif len({clip.label for clip in group}) > 1:
            torn.append(names)
        else:
            copies.append(names)
    cure = 'find out which name is right, and unpack the other clip again'
    if leaks:
        yield failed(f'in train and test by two names: {some(leaks)}', cure)
    if torn:
        yield failed(f'one clip with different labels: {some(torn)}', cure)
    if copies:
        yield warned(f'one clip by two names: {some(copies)}', cure)
    if not leaks and not torn and not copies:
        yield passed(f'none among {len(case.clips)} clips')


def _equal(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Clips of the same bytes; only those of equal sizes are read."""
    by_size = defaultdict(list)
    for clip in clips:
        by_size[clip.sizes].append(clip)
    for alike in by_size.values():
        if len(alike) > 1 and any(alike[0].sizes):
            by_bytes = defaultdict(list)
            for clip in alike:
                by_bytes[_digest(clip)].append(clip)
            yield from (g for g in by_bytes.values() if len(g) > 1)


def _digest(clip: Clip) -> bytes:
    digest = hashlib.sha256()
    for path in clip.files:
        try:
            with open(path, 'rb') as file:
                digest.update(hashlib.sha256(file.read()).digest())
        except OSError:  # the check of decoding names it
            return path.encode()
    return digest.digest()


def _straddles(case: Case, group: Sequence[Clip]) -> bool:
    """Whether one is trained on and another one tested, in any fold."""
    if len({clip.loader for clip in group}) > 1:
        return True
    names = {clip.video_id for clip in group}
    for (_, split), rows in case.rows.items():
        inside = names & {row.video_id for row in rows}
        if split == 'test' and inside and inside != names:
            return True
    return False


@dataclass
class ClipReport:
    """Of a clip that was decoded.

    Args:
        path (str): The clip.
        damaged (dict[str, str]): Files that cannot be read, with the reason.
        odd (list[str]): What is unusual: black, still, tiny or grey frames.
    """

    path: str
    damaged: dict[str, str] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


@check('decode', 'data')
def decode(case: Case) -> Iterator[Finding]:
    """The decoders of the pipeline can read every frame."""
    how, clips = case.options.decode, case.clips
    if not clips or how == 'none':
        yield skipped('not asked for' if clips else 'no clips on disk')
        return
    if how == 'sample':  # evenly spread, and the same ones each time
        count = min(case.options.sample, len(clips))
        clips = [clips[i * len(clips) // count] for i in range(count)]
    case.reports = decode_clips(clips, case.options.workers, _state(case))
    damaged = [
        f'{_short(file)} {reason}'
        for report in case.reports
        for file, reason in report.damaged.items()
    ]
    of = f'{len(clips)} of {len(case.clips) + len(case.absent)} clips'
    if damaged:
        text = f'{number(len(damaged), "bad file")} in {of}: {some(damaged)}'
        policy = (case.hook('SafeDataHook') or {}).get('bad_data', 'raise')
        if policy == 'raise':
            cure = f"{_AGAIN}, or set bad_data='resample' in SafeDataHook"
            yield failed(text, cure)
        else:
            yield warned(f'{text}; SafeDataHook omits these clips', _AGAIN)
    else:
        more = '' if how == 'all' else ' (--decode all checks every one)'
        yield passed(f'{of}, every frame{more}')


@check('content', 'decode')
def content(case: Case) -> Iterator[Finding]:
    """Frames show something."""
    odd = [
        f'{os.path.basename(report.path)} {", ".join(report.odd)}'
        for report in case.reports
        if report.odd
    ]
    if odd:
        yield warned(
            f'{number(len(odd), "unusual clip")}: {some(odd)}',
            'look at these clips, and unpack or crop them again',
        )
    else:
        yield passed('no black, still, tiny or grey frames')


def decode_clips(
    clips: Sequence[Clip], workers: int, state: Optional[Path] = None
) -> list[ClipReport]:
    """Decode clips in processes, and note each that is done.

    Args:
        clips (Sequence[Clip]): The clips.
        workers (int): Processes.
        state (Path, optional): File of notes, a JSON object per line. Clips
            that are noted there and unchanged are not decoded again.

    Returns:
        list[ClipReport]: Of each clip, in any order.
    """
    known = _read_notes(state) if state else {}
    prints = [[len(c.sizes), sum(c.sizes), c.changed] for c in clips]
    reports, waiting = [], []
    for index, clip in enumerate(clips):
        noted = known.get(clip.path)
        if noted and noted[0] == prints[index]:
            reports.append(noted[1])
        else:
            waiting.append(index)

    def died(index: int) -> tuple[int, ClipReport]:
        fault = {clips[index].path: 'makes the decoder crash'}
        return index, ClipReport(clips[index].path, fault)

    progress = Progress(len(waiting), show=len(waiting) > 500)
    work = _Decoder(clips)
    for index, report in run_all(waiting, work, workers, died):
        reports.append(report)
        progress.step()
        if state:
            state.parent.mkdir(parents=True, exist_ok=True)
            note = json.dumps({'print': prints[index], **asdict(report)})
            with open(state, 'a', encoding='utf-8') as file:
                # In front too: a kill may leave a partial line.
                file.write(f'\n{note}\n')
    return reports


def _read_notes(state: Path) -> dict[str, tuple[list[int], ClipReport]]:
    known = {}
    with suppress(FileNotFoundError, UnicodeDecodeError):
        for line in state.read_text(encoding='utf-8').splitlines():
            with suppress(ValueError, TypeError, KeyError):
                note = json.loads(line)
                fingerprint = note.pop('print')
                known[note['path']] = fingerprint, ClipReport(**note)
    return known


def _state(case: Case) -> Optional[Path]:
    if case.options.state:
        return Path(case.options.state)
    whole = case.options.decode == 'all'
    return case.work_dir / 'doctor_decode.jsonl' if whole else None


class _Decoder:
    """Decodes a clip of a list; sent to each process once."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = clips

    def __call__(self, index: int) -> tuple[int, ClipReport]:
        return index, decode_clip(self.clips[index])


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
            red, green, blue = np.moveaxis(image, -1, 0)
            self.grey = self.grey and bool(
                (red == green).all() and (green == blue).all()
            )

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
