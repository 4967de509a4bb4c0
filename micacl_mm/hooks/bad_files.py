"""Files of clips that cannot be read: which one, and what is wrong with it."""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np
from mmengine.dataset import Compose

from micacl_mm.errors import DataError
from micacl_mm.utils.datasets import innermost

#: Errors of the machine, not of a file.
MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
#: Errors of code or config, unless a file is found to be broken.
_CODE = (KeyError, TypeError, AttributeError)
#: Keys of single files in the data of a clip.
_FILES = ('filename', 'img_path', 'audio_path', 'feature_path')
#: Most frames of a bad clip that are inspected.
_MOST = 300
_PICTURES = ('.jpg', '.jpeg', '.png', '.bmp')
_JPEG, _END_OF_JPEG = b'\xff\xd8\xff', b'\xff\xd9'
_PNG, _END_OF_PNG = b'\x89PNG\r\n', b'IEND\xaeB`\x82'
_START_OF_SCAN = 0xDA


class BadFileError(DataError):
    """A file of a clip cannot be read.

    Attributes:
        path (str): The file.
        reason (str): What is wrong, ``'is empty'``.
        frames (Sequence[str]): All frames of its clip that are known.
    """

    # A worker's error is rebuilt from its message alone.
    path, reason = '', ''
    frames: Sequence[str] = ()

    @classmethod
    def of(cls, path: str, reason: str) -> 'BadFileError':
        """Make the error of a file."""
        error = cls(f'{path} {reason}')
        error.path, error.reason = path, reason
        return error


class _Look(NamedTuple):
    """The fault of a frame, or height and width of a good one."""

    fault: Optional[str] = None
    size: tuple[int, ...] = ()


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG has lost its end; False for other formats."""
    if data.startswith(_PNG):
        return _END_OF_PNG not in data
    if not data.startswith(_JPEG):
        return False
    # Harmless bytes may follow the end; a thumbnail inside may have one.
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == _START_OF_SCAN:
            return _END_OF_JPEG not in data[place:]
        place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
    return True


def frame_fault(data: bytes) -> Optional[str]:
    """Say what is wrong with the bytes of a frame, None if nothing is."""
    return _look(data).fault


def clip_faults(paths: Iterable[str]) -> dict[str, str]:
    """Find the bad frames of a clip, also those of an unusual size.

    Args:
        paths (Iterable[str]): All frames of the clip.

    Returns:
        dict[str, str]: Fault by path. Sizes are no fault where none is that
        of more frames than any other.
    """
    looks = {path: _look_at(path) for path in paths}
    faults = {path: look.fault for path, look in looks.items() if look.fault}
    sizes = Counter(look.size for look in looks.values() if look.size)
    (usual, count), *others = sizes.most_common(2) or [((), 0)]
    if others and others[0][1] == count:
        return faults
    for path, look in looks.items():
        if look.size and look.size != usual:
            faults[path] = (
                f'is {look.size[1]} x {look.size[0]} px, most frames of its '
                f'clip {usual[1]} x {usual[0]}'
            )
    return faults


def _look(data: bytes) -> _Look:
    if not data:
        return _Look('is empty')
    if is_cut_off(data):
        return _Look('is cut off')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        return _Look('cannot be decoded')
    return _Look(size=image.shape[:2])


def _look_at(path: str) -> _Look:
    try:
        with open(path, 'rb') as file:
            return _look(file.read())
    except FileNotFoundError:
        return _Look('is missing')
    except OSError as error:
        if error.errno in MACHINE:
            raise
        return _Look(f'cannot be opened: {error.strerror}')


class WatchedPipeline(Compose):
    """A pipeline whose failures to read a file are :class:`BadFileError`.

    Decoders disagree on broken files: an error without the file's name, None,
    or frames of different sizes. Until the frames are there each of these is
    a :class:`BadFileError` here; results of good files are unchanged.

    Args:
        pipeline (Compose): The pipeline to run.
    """

    def __init__(self, pipeline: Compose) -> None:
        self.transforms = pipeline.transforms

    def __call__(self, data: dict) -> Optional[dict]:
        """Run the transforms.

        Raises:
            BadFileError: A file cannot be read.
        """
        reading = True
        for transform in self.transforms:
            try:
                results = transform(data)
                if reading and results is not None:
                    _check_frames(results)
            except Exception as error:
                if not reading:
                    raise
                bad = _explain(transform, data, error)
                if bad is None:
                    raise
                bad.frames = _clip_frames(data)
                raise bad from error
            if results is None:
                return None
            data = results
            reading = reading and 'imgs' not in data
        return data


def watch(dataset: Any) -> None:
    """Use :class:`WatchedPipeline` in a dataset, also within wrappers.

    Args:
        dataset: Of MMEngine.
    """
    for part in innermost(dataset):
        pipeline = getattr(part, 'pipeline', None)
        if type(pipeline) is Compose:
            part.pipeline = WatchedPipeline(pipeline)


def _check_frames(results: dict) -> None:
    """Refuse clips without frames, and frames of several sizes."""
    if results.get('total_frames') == 0:
        raise BadFileError.of(_clip_path(results), 'has no frames')
    images = results.get('imgs')
    if not isinstance(images, list) or not images:
        return
    paths = list(_frame_paths(results))
    if len(paths) != len(images):
        paths = [_clip_path(results)] * len(images)
    for path, image in zip(paths, images, strict=True):
        if image is None or not np.size(image):
            raise BadFileError.of(path, 'cannot be decoded')
    sizes = dict.fromkeys(np.shape(image)[:2] for image in images)
    if len(sizes) > 1:
        words = ' and '.join(f'{w} x {h}' for h, w in sizes)
        raise _first_fault(results) or BadFileError.of(
            _clip_path(results), f'has frames of {words} px'
        )


def _explain(
    transform: Any, results: dict, error: Exception
) -> Optional[BadFileError]:
    """Find the file at fault; None if the error is not due to a file."""
    if isinstance(error, BadFileError):
        return error if error.path else None
    if isinstance(error, (ImportError, MemoryError, NotImplementedError)):
        return None
    if getattr(error, 'errno', None) in MACHINE:
        return None
    if getattr(transform, 'io_backend', 'disk') in ('disk', 'local'):
        found = _first_fault(results)
        if found:
            return found
    path = _clip_path(results)
    if isinstance(error, FileNotFoundError):
        return BadFileError.of(path, 'is missing')
    if os.path.isfile(path):
        fault = None if os.path.getsize(path) else 'is empty'
        if path.lower().endswith(_PICTURES):
            fault = _look_at(path).fault
        if fault:
            return BadFileError.of(path, fault)
    name = type(transform).__name__
    reads = name.startswith('Load') or name.endswith(('Init', 'Decode'))
    if isinstance(error, _CODE) or not reads:
        return None
    line = next(iter(str(error).splitlines()), '')[:300]
    return BadFileError.of(path, f'fails: {type(error).__name__}: {line}')


def _first_fault(results: dict) -> Optional[BadFileError]:
    """The first of the sampled frames that is bad, if one is.

    Where only their sizes differ, the other frames of the clip show which
    size is the unusual one.
    """
    drawn = list(_frame_paths(results))
    looks = {path: _look_at(path) for path in dict.fromkeys(drawn)}
    faults = {path: look.fault for path, look in looks.items() if look.fault}
    if not faults and len({look.size for look in looks.values()}) > 1:
        faults = clip_faults(_clip_frames(results))
    found = (path for path in drawn if path in faults)
    return next((BadFileError.of(p, faults[p]) for p in found), None)


def _frame_paths(results: dict) -> Iterator[str]:
    """Files of the sampled frames, in order, where they are files."""
    wanted = {'frame_dir', 'filename_tmpl', 'frame_inds'}
    if not wanted <= results.keys() or results.get('pack') is not None:
        return
    if results.get('modality', 'RGB') == 'RGB':
        numbers = np.asarray(results['frame_inds']).reshape(-1).tolist()
        yield from _named(results, numbers)


def _named(results: dict, numbers: Iterable[int]) -> Iterator[str]:
    for number in numbers:
        name = results['filename_tmpl'].format(
            number + results.get('offset', 0)
        )
        yield os.path.join(results['frame_dir'], name)


def _clip_frames(results: dict) -> list[str]:
    """Files of the clip's frames, the sampled ones first.

    The folder is not listed: it may hold frames of other clips.
    """
    paths = list(_frame_paths(results))
    if not paths or not os.path.isdir(results['frame_dir']):
        return []
    total, first = results.get('total_frames', 0), results.get('start_index')
    if first is not None:
        # The annotation may have more frames than the folder.
        with suppress(IndexError):
            paths += _named(results, range(first, first + min(total, _MOST)))
    return list(dict.fromkeys(paths))[:_MOST]


def _clip_path(results: dict) -> str:
    keys = (*_FILES, 'frame_dir', 'video_id')
    return next((str(results[key]) for key in keys if key in results), '?')
