"""Raw clips to folders of face crops: what ``micacl crop-faces`` does."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import uuid4

import cv2
import numpy as np

from micacl_mm.datasets.images import decode_image
from micacl_mm.datasets.layouts import pad_number
from micacl_mm.errors import (
    ConfigError,
    DataError,
    MissingFileError,
    check_choice,
    check_count,
)
from micacl_mm.utils import folders
from micacl_mm.utils.files import (
    check_folder,
    publish,
    scratch_folder,
    write_text,
)
from micacl_mm.utils.video import ClipError, read_video
from micacl_mm.utils.workers import DIED, run_all

from .cropping import crop_face, eye_roll, square_boxes
from .detectors import Detector, build_detector
from .tracking import FaceTrack, every_kth, find_faces, main_face

LAYOUTS = ('tree', 'dfew', 'ferv39k')
FAILURES = 'failures.csv'
MARKER = 'crop_faces.json'
# Nothing in it is touched while a long video is searched for faces.
_DEAD_AFTER = 24 * 3600.0
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]


class SourceClip(NamedTuple):
    """A video or a folder of frames, and where its crops belong."""

    path: str
    target: str
    is_video: bool


class Outcome(NamedTuple):
    """What became of a clip; ``reason`` is empty unless it failed."""

    path: str
    reason: str = ''
    faces: int = 0
    crops: int = 0
    frames: int = 0


def _setting(default: object, text: str) -> Any:
    return field(default=default, metadata=dict(help=text))


@dataclass(frozen=True)
class CropSettings:
    """How faces are found and cut out; each is an option of the command."""

    face: str = _setting(
        'centerface',
        'centerface, haar, or a registered type with its module, '
        'my_module.MyDetector',
    )
    face_options: dict = field(
        default_factory=dict,
        metadata=dict(
            help='arguments of the detector: threshold=0.5 max_side=960'
        ),
    )
    margin: float = _setting(
        0.15, "room on each side, as a share of the face's longer side"
    )
    size: int = _setting(224, 'side of a crop, pixels')
    every: int = _setting(
        1, 'find faces in every K-th frame only, crop all: faster'
    )
    max_gap: int = _setting(12, 'fill gaps of up to so many searched frames')
    smoothing: float = _setting(
        2.0, 'width of the smoothing, in searched frames; 0: none'
    )
    all_faces: bool = _setting(
        False, 'a folder for each face, CLIP_face0 (the main one), ..'
    )
    align: bool = _setting(
        False, 'turn each crop until the eyes are level; needs centerface'
    )
    min_frames: int = _setting(5, 'with all faces: detections that make one')
    layout: str = _setting('tree', f'one of {", ".join(LAYOUTS)}')

    def __post_init__(self) -> None:
        counts = dict(every=self.every, min_frames=self.min_frames)
        check_count('crop_faces', size=self.size, **counts)
        check_count('crop_faces', 0, max_gap=self.max_gap)
        check_choice('crop_faces', LAYOUTS, layout=self.layout)
        if not self.smoothing >= 0 or not self.margin > -0.5:
            raise ConfigError(
                'crop_faces: smoothing must be 0 or more and margin above '
                f'-0.5, got {self.smoothing} and {self.margin}'
            )

    def build(self) -> Detector:
        """Build the detector."""
        detector = build_detector(self.face, **self.face_options)
        if detector is None:
            raise ConfigError(
                "crop_faces: face 'none' finds no face",
                'train on clips that are face crops already as they are',
            )
        if self.align and not hasattr(detector, 'find_eyes'):
            raise ConfigError(
                f'crop_faces: {self.face} finds boxes and no eyes, which '
                'align needs',
                'use --face centerface, or leave --align out',
            )
        return detector


def crop_set(
    source: str | Path,
    out: str | Path,
    *,
    workers: int = 1,
    progress: bool = False,
    **settings: object,
) -> dict:
    """Crop the faces of every clip below a folder.

    A second call with the same settings does what is missing, and tries
    again what failed. The bytes do not depend on ``workers``.

    Args:
        source (str | Path): Folder of videos or of folders of frames, in any
            nesting, or one of these.
        out (str | Path): Folder of the crops; new, empty, or to be resumed.
        workers (int): Processes. Defaults to 1.
        progress (bool): Show progress on stderr. Defaults to False.
        **settings: Fields of :class:`CropSettings`.

    Returns:
        dict: ``clips``, ``done`` (now), ``skipped`` (done before), ``faces``,
        ``crops``, ``frames`` and ``seconds`` of this run, and ``failures``,
        path and reason of each.
    """
    asked = CropSettings(**settings)
    check_count('crop_faces', workers=workers)
    source, root = Path(source).expanduser(), Path(out).expanduser()
    if not source.exists():
        raise MissingFileError(f'crop_faces: {source} does not exist')
    detector = asked.build()
    settings = asdict(asked)
    check_folder('crop_faces', root, MARKER, settings)
    clips, failed = find_clips(source, root, asked.layout)
    total = len(clips) + len(failed)
    start, made = time.monotonic(), []
    with scratch_folder(root, _DEAD_AFTER) as scratch:
        text = json.dumps({'settings': settings}, indent=2)
        write_text(root / MARKER, f'{text}\n')
        cropper = ClipCropper(root, scratch, asked, detector)
        waiting = [c for c in clips if not cropper.targets(c)[0].exists()]
        outcomes = run_all(
            waiting,
            cropper,
            workers,
            died=lambda clip: Outcome(clip.path, DIED),
            progress=progress,
        )
        try:
            with closing(outcomes):
                for outcome in outcomes:
                    if outcome.reason:
                        failed.append((outcome.path, outcome.reason))
                    else:
                        made.append(outcome)
        finally:
            _write_failures(root, failed)
    return {
        'clips': total,
        'done': len(made),
        'skipped': len(clips) - len(waiting),
        'faces': sum(outcome.faces for outcome in made),
        'crops': sum(outcome.crops for outcome in made),
        'frames': sum(outcome.frames for outcome in made),
        'failures': failed,
        'list': str(root / FAILURES),
        'seconds': time.monotonic() - start,
    }


# ---- the clips and their frames


def find_clips(
    source: Path, out: Path, layout: str = 'tree'
) -> tuple[list[SourceClip], list[tuple[str, str]]]:
    """List the clips of a folder in any nesting, but for those in ``out``.

    Layout ``'tree'`` keeps the path below ``source`` without the suffix,
    ``'dfew'`` gives ``NNNNN``, ``'ferv39k'`` ``Scene/Emotion/NNNN``. Clips
    that would go to the place of another come apart, with the reason.
    """
    found = [folders.FoundClip(str(source), True)]
    if not source.is_file():
        away = os.path.realpath(out)
        found = folders.find_clips(
            str(source), lambda path: os.path.realpath(path) == away
        )
    if not found:
        raise DataError(
            f'crop_faces: no clip in {source}',
            'name a folder with videos '
            f'({", ".join(folders.VIDEO_SUFFIXES)}), with folders of frames, '
            'or one of these',
        )
    clips: dict[str, SourceClip] = {}
    failed = []
    for path, is_video in found:
        target = _target(Path(path), source, is_video, layout)
        if target in clips:
            reason = 'another clip has the same name; rename one of them'
            failed.append((path, reason))
        else:
            clips[target] = SourceClip(path, target, is_video)
    # A video beside a folder of its name, with clips in it.
    for clip in list(clips.values()):
        above = map(str, PurePosixPath(clip.target).parents)
        over = next((clips[name] for name in above if name in clips), None)
        if over is not None:
            reason = f'would lie in the crops of {over.path}; rename it'
            failed.append((clip.path, reason))
            del clips[clip.target]
    return list(clips.values()), failed


def _target(path: Path, source: Path, is_video: bool, layout: str) -> str:
    below = path.relative_to(source)
    if path == source:
        below = Path(path.resolve().name)  # of '.' too
    parts = list((below.with_suffix('') if is_video else below).parts)
    if layout == 'dfew' and parts[-1].isdecimal():
        return f'{int(parts[-1]):05d}'
    if layout == 'ferv39k':
        parts = [*parts[-3:-1], pad_number(parts[-1])]
    return '/'.join(parts)


def read_frames(clip: SourceClip) -> Iterator[tuple[int, np.ndarray]]:
    """Number and picture of each frame, (H, W, 3), uint8, RGB.

    Videos are numbered from 1. Images have the last number in their names,
    or places from 1 if any has none or two have one.
    """
    if clip.is_video:
        yield from enumerate(read_video(clip.path), 1)
        return
    try:
        names = folders.list_frames(clip.path)
        for number, name in zip(frame_numbers(names), names, strict=True):
            data = Path(clip.path, name).read_bytes()
            yield number, decode_image(data, name)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ClipError(f'cannot be read: {reason}') from None


def frame_numbers(names: list[str]) -> list[int]:
    """Numbers of frames by their names, which are in natural order."""
    runs = [
        ''.join(c if c.isascii() and c.isdigit() else ' ' for c in stem)
        for stem in (os.path.splitext(name)[0] for name in names)
    ]
    last = [int(run.split()[-1]) if run.split() else -1 for run in runs]
    ascending = all(a < b for a, b in zip([-1, *last], last, strict=False))
    # Digits of a checksum or a date are no number of a frame.
    if ascending and all(number < 10**9 for number in last):
        return last
    return list(range(1, len(names) + 1))


# ---- one clip


@dataclass(frozen=True)
class ClipCropper:
    """Crops clips, each of which appears whole or not at all."""

    root: Path
    scratch: Path  # of this run alone, on the same disk
    settings: CropSettings
    detector: Detector

    def __call__(self, clip: SourceClip) -> Outcome:
        """Crop a clip; what is wrong with the clip comes as a reason."""
        try:
            tracks, numbers = self._find(clip)
            parts = [self.scratch / uuid4().hex for _ in tracks]
            for part in parts:
                part.mkdir()
            crops = self._write(clip, tracks, numbers, parts)
        except DataError as error:
            reason = str(error).removeprefix(f'{clip.path}: ')
            return Outcome(clip.path, reason)
        except (cv2.error, MemoryError) as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            return Outcome(clip.path, f'cannot be decoded: {reason}')
        # The first face comes last: it tells that the clip is finished.
        targets = self.targets(clip, len(tracks))
        for part, target in list(zip(parts, targets, strict=True))[::-1]:
            publish(part, target)
        return Outcome(clip.path, '', len(tracks), crops, len(numbers))

    def targets(self, clip: SourceClip, faces: int = 1) -> list[Path]:
        """Folder of each face of a clip."""
        target = self.root / clip.target
        if not self.settings.all_faces:
            return [target]
        # Not with_name: a clip may have no name of its own but '..'.
        return [Path(f'{target}_face{k}') for k in range(faces)]

    def _find(self, clip: SourceClip) -> tuple[list[FaceTrack], list[int]]:
        """Tracks of the faces to crop, and the numbers of all frames."""
        numbers: list[int] = []

        def noted() -> Iterator[tuple[int, np.ndarray]]:
            for number, frame in read_frames(clip):
                numbers.append(number)
                yield number, frame

        ours = self.settings
        tracks = find_faces(
            every_kth(noted(), ours.every),
            self.detector,
            ours.max_gap,
            ours.smoothing * ours.every,
        )
        main = main_face(tracks, clip.path)
        others = [t for t in tracks[1:] if t.detected.sum() >= ours.min_frames]
        return [main, *others] if ours.all_faces else [main], numbers

    def _write(
        self,
        clip: SourceClip,
        tracks: Sequence[FaceTrack],
        numbers: Sequence[int],
        parts: Sequence[Path],
    ) -> int:
        """Write the crops of each track into its part; count them.

        The clip is read again, for a long one would not fit into memory.
        """
        found = [track.boxes_at(np.array(numbers)) for track in tracks]
        rolls = [0.0] * len(tracks)
        crops = 0
        for i, (number, frame) in enumerate(read_frames(clip)):
            for k, (boxes, there) in enumerate(found):
                if there[i]:
                    square = square_boxes(boxes[i], self.settings.margin)
                    if self.settings.align:
                        rolls[k] = self._level(frame, square, rolls[k])
                    crop = crop_face(
                        frame, square, self.settings.size, rolls[k]
                    )
                    bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
                    _, data = cv2.imencode('.jpg', bgr, _QUALITY)
                    # Not cv2.imwrite, which says nothing of a full disk.
                    path = parts[k] / f'{number:05d}.jpg'
                    path.write_bytes(data.tobytes())
                    crops += 1
        return crops

    def _level(
        self, frame: np.ndarray, square: np.ndarray, roll: float
    ) -> float:
        """Roll of the eyes; the last one where they are not found."""
        # Points on a turned face are less exact: the first frame of a face is
        # looked at until it is level.
        for _ in range(1 if roll else 3):
            crop = crop_face(frame, square, self.settings.size, roll)
            eyes = self.detector.find_eyes(crop)
            roll += 0.0 if eyes is None else eye_roll(eyes)
        return roll


def _write_failures(root: Path, failures: Iterable[tuple[str, str]]) -> None:
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerows([('path', 'reason'), *sorted(failures)])
    write_text(root / FAILURES, text.getvalue())
