"""Files of clips that cannot be read: which one, and what is wrong with it."""

import errno
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.dataset import Compose

from micacl_mm.datasets.images import decode_image
from micacl_mm.errors import DataError
from micacl_mm.utils.datasets import innermost

#: Errors of the machine, not of a file.
_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
#: Errors of code or config, unless a file is found to be broken.
_CODE = (KeyError, TypeError, AttributeError)
#: Most frames of a bad clip that are inspected.
_MOST = 300
#: Keys of single files in the data of a clip.
_FILES = ('filename', 'img_path', 'audio_path', 'feature_path')


class BadFileError(DataError):
    """A file of a clip cannot be read.

    Attributes:
        faults (dict[str, str]): What is wrong with it, and with other files
            of its clip, by path; empty in an error that comes from a worker.
    """

    faults: dict[str, str] = {}

    @classmethod
    def of(cls, path: str, faults: dict[str, str]) -> 'BadFileError':
        """Make the error of a file."""
        error = cls(f'{path} {faults[path]}')
        error.faults = faults
        return error


def clip_faults(paths: Iterable[str]) -> dict[str, str]:
    """Find the bad frames among all of a clip, with the fault of each.

    An unusual size is one, unless no size is that of more frames than any
    other.
    """
    faults, sizes = {}, {}
    for path in paths:
        data = b''
        try:
            data = Path(path).read_bytes()
            sizes[path] = decode_image(data, '').shape[:2]
        except DataError as error:
            faults[path] = error.problem.strip() if data else 'is empty'
        except OSError as error:
            if error.errno in _MACHINE:
                raise
            faults[path] = f'cannot be opened: {error.strerror}'
            if isinstance(error, FileNotFoundError):
                faults[path] = 'is missing'
    ranked = Counter(sizes.values()).most_common(2)
    if len(ranked) > 1 and ranked[0][1] > ranked[1][1]:
        usual = ranked[0][0]
        for path, size in sizes.items():
            if size != usual:
                faults[path] = (
                    f'is {size[1]} x {size[0]} px, most frames of its clip '
                    f'{usual[1]} x {usual[0]}'
                )
    return faults


class WatchedPipeline(Compose):
    """A pipeline whose failures to read a file are :class:`BadFileError`.

    Decoders disagree on broken files: an error without the file's name, None,
    or frames of different sizes. Until the frames are there each of these is
    a :class:`BadFileError` here; results of good files are unchanged.
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
                bad = _explain(transform, data, error) if reading else None
                if bad is None:
                    raise
                raise bad from error
            if results is None:
                return None
            data = results
            reading = reading and 'imgs' not in data
        return data


def watch(dataset: Any) -> None:
    """Use :class:`WatchedPipeline` in a dataset, also within wrappers."""
    for part in innermost(dataset):
        pipeline = getattr(part, 'pipeline', None)
        if type(pipeline) is Compose:
            part.pipeline = WatchedPipeline(pipeline)


def _check_frames(results: dict) -> None:
    """Refuse clips without frames, and frames of several sizes."""
    images, path, fault = results.get('imgs'), _clip_path(results), ''
    if results.get('total_frames') == 0:
        fault = 'has no frames'
    elif isinstance(images, list) and images:
        sizes = {np.shape(image)[:2] for image in images}
        if not all(image is not None and np.size(image) for image in images):
            fault = 'cannot be decoded'
        elif len(sizes) > 1:
            words = ' and '.join(f'{w} x {h}' for h, w in sorted(sizes))
            fault = f'has frames of {words} px'
    if fault:
        raise _bad_frame(results) or BadFileError.of(path, {path: fault})


def _explain(
    transform: Any, results: dict, error: Exception
) -> Optional[BadFileError]:
    """Find the file at fault; None if the error is not due to a file."""
    if isinstance(error, BadFileError):
        return error
    if isinstance(error, (ImportError, MemoryError, NotImplementedError)):
        return None
    if getattr(error, 'errno', None) in _MACHINE:
        return None
    if getattr(transform, 'io_backend', 'disk') in ('disk', 'local'):
        found = _bad_frame(results)
        if found:
            return found
    path, fault = _clip_path(results), ''
    name = type(transform).__name__
    if isinstance(error, FileNotFoundError):
        fault = 'is missing'
    elif os.path.isfile(path) and not os.path.getsize(path):
        fault = 'is empty'
    elif 'img_path' in results:
        fault = clip_faults([path]).get(path, '')
    reads = name.startswith('Load') or name.endswith(('Init', 'Decode'))
    if reads and not fault and not isinstance(error, _CODE):
        line = next(iter(str(error).splitlines()), '')[:300]
        fault = f'fails: {type(error).__name__}: {line}'
    return BadFileError.of(path, {path: fault}) if fault else None


def _bad_frame(results: dict) -> Optional[BadFileError]:
    """The first of the sampled frames that is bad, if one is."""
    wanted = {'frame_dir', 'filename_tmpl', 'frame_inds'}
    if (
        not wanted <= results.keys()
        or results.get('pack') is not None
        or results.get('modality', 'RGB') != 'RGB'
    ):
        return None
    template, offset = results['filename_tmpl'], results.get('offset', 0)

    def named(numbers: Iterable[int]) -> list[str]:
        names = [template.format(number + offset) for number in numbers]
        return [os.path.join(results['frame_dir'], name) for name in names]

    drawn = named(np.asarray(results['frame_inds']).reshape(-1).tolist())
    others, first = [], results.get('start_index')
    total = results.get('total_frames', 0)
    if first is not None and os.path.isdir(results['frame_dir']):
        # The folder is not listed: it may hold frames of other clips. The
        # annotation may have more frames than the folder.
        with suppress(IndexError):
            others = named(range(first, first + min(total, _MOST)))
    faults = clip_faults(dict.fromkeys(drawn + others))
    found = (BadFileError.of(p, faults) for p in drawn if p in faults)
    return next(found, None)


def _clip_path(results: dict) -> str:
    keys = (*_FILES, 'frame_dir', 'video_id')
    return next((str(results[key]) for key in keys if key in results), '?')
