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
#: Errors of code or config, unless a frame is found to be broken.
_CODE = (KeyError, TypeError, AttributeError)
#: Most frames of a bad clip that are inspected.
_MOST = 300
#: Keys that name a clip.
_PATHS = ('filename', 'audio_path', 'feature_path', 'frame_dir', 'video_id')


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
        try:
            data = Path(path).read_bytes()
            sizes[path] = decode_image(data, '').shape[:2]
        except DataError as error:
            faults[path] = error.problem.strip() if data else 'is empty'
        except FileNotFoundError:
            faults[path] = 'is missing'
        except OSError as error:
            if error.errno in _MACHINE:
                raise
            faults[path] = f'cannot be opened: {error.strerror}'
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
            except BadFileError:
                raise
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
    images, fault = results.get('imgs'), ''
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
        raise _bad_frame(results) or _bad_clip(results, fault)


def _explain(
    transform: Any, results: dict, error: Exception
) -> Optional[BadFileError]:
    """Find the file at fault; None if the error is not due to a file."""
    if isinstance(error, (ImportError, MemoryError, NotImplementedError)):
        return None
    if getattr(error, 'errno', None) in _MACHINE:
        return None
    if getattr(transform, 'io_backend', 'disk') in ('disk', 'local'):
        found = _bad_frame(results)
        if found:
            return found
    name = type(transform).__name__
    reads = name.startswith('Load') or name.endswith(('Init', 'Decode'))
    if not reads or isinstance(error, _CODE):
        return None
    if isinstance(error, FileNotFoundError):
        return _bad_clip(results, 'is missing')
    line = next(iter(str(error).splitlines()), '')[:300]
    return _bad_clip(results, f'fails: {type(error).__name__}: {line}')


def _bad_clip(results: dict, fault: str) -> BadFileError:
    path = next((str(results[k]) for k in _PATHS if k in results), '?')
    return BadFileError.of(path, {path: fault})


def _bad_frame(results: dict) -> Optional[BadFileError]:
    """The first of the sampled frames that is bad, if one is."""
    if (
        not {'frame_dir', 'filename_tmpl', 'frame_inds'} <= results.keys()
        or results.get('pack') is not None
        or results.get('modality', 'RGB') != 'RGB'
    ):
        return None

    def named(numbers: Iterable[int]) -> list[str]:
        offset, name = results.get('offset', 0), results['filename_tmpl']
        names = [name.format(number + offset) for number in numbers]
        return [os.path.join(results['frame_dir'], name) for name in names]

    drawn = named(np.ravel(results['frame_inds']).tolist())
    others, first = [], results.get('start_index')
    if first is not None and os.path.isdir(results['frame_dir']):
        # The folder is not listed: it may hold frames of other clips. The
        # annotation may have more frames than the folder.
        count = min(results.get('total_frames', 0), _MOST)
        with suppress(IndexError):
            others = named(range(first, first + count))
    faults = clip_faults(dict.fromkeys(drawn + others))
    found = (BadFileError.of(p, faults) for p in drawn if p in faults)
    return next(found, None)
