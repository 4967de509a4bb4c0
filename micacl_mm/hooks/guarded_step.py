"""Transforms that read files, watched."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Optional

import numpy as np
from mmengine.dataset import Compose

from .bad_files import BadFileError
from .frame_faults import (
    END_OF_JPEG,
    END_OF_PNG,
    JPEG,
    MACHINE,
    PNG,
    cv2_sees_cuts,
    first_fault,
    is_cut_off,
)

#: Rather an error in code or config, unless a file is broken.
_OF_CODE = (KeyError, TypeError, AttributeError)
#: Keys of files that are no video and no frames.
_FILES = ('img_path', 'audio_path', 'feature_path')
#: Frames of a bad clip that are looked at.
_MOST = 300
#: Backends of MMCV that refuse half a picture; OpenCV is looked at.
_STRICT = ('cv2', 'pillow')
_PICTURES = {'.jpg', '.jpeg', '.png', '.bmp'}


class GuardedStep:
    """A transform that reads files; its failures name the file.

    Decoders do not agree on what they make of a broken file: an error of
    their own, None, or half a picture in grey. Here each is a
    :class:`BadFileError`: a file that is missing, empty, cut off or cannot
    be decoded, and a frame of another size than most of its clip.
    Results of good files are those of the transform.

    Args:
        step (Callable): The transform.
    """

    def __init__(self, step: Callable[[dict], Optional[dict]]) -> None:
        self.step = step
        backend = getattr(step, 'decoding_backend', 'cv2')
        self._lenient = backend not in _STRICT or not cv2_sees_cuts()

    def __call__(self, results: dict) -> Optional[dict]:
        """Run the transform.

        Raises:
            BadFileError: A file cannot be read.
        """
        try:
            return self._run(results)
        except BadFileError as error:
            error.frames = error.frames or _clip_frames(results)
            raise

    def _run(self, results: dict) -> Optional[dict]:
        if self._lenient:
            self._check_ends(results)
        try:
            found = self.step(results)
        except BadFileError:
            raise
        except (ImportError, MemoryError, NotImplementedError):
            raise
        except Exception as error:
            if getattr(error, 'errno', None) in MACHINE:
                raise
            bad_file = self._explain(results, error)
            if bad_file is None:
                raise
            raise bad_file from error
        if found is not None:
            self._check_images(found)
        return found

    @staticmethod
    def _check_ends(results: dict) -> None:
        """Look at the last bytes of each frame, for decoders that do not."""
        for path in _frame_paths(results):
            try:
                with open(path, 'rb') as file:
                    begin = file.read(8)
                    if not begin.startswith((JPEG, PNG)):
                        continue  # the decoder's to judge
                    file.seek(-len(END_OF_PNG), os.SEEK_END)
                    end = file.read()
                    if end.endswith((END_OF_JPEG, END_OF_PNG)):
                        continue
                    file.seek(0)
                    data = file.read()
            except OSError as error:
                if error.errno in MACHINE:
                    raise
                continue  # the decoder may know another way to read it
            if is_cut_off(data):
                raise BadFileError.of(path, 'is cut off: it has no end')

    @staticmethod
    def _check_images(results: dict) -> None:
        images = results.get('imgs')
        if results.get('total_frames') == 0:
            raise BadFileError.of(_clip_path(results), 'holds no frame')
        if not isinstance(images, list) or not images:
            return
        paths = list(_frame_paths(results, distinct=False))
        for index, image in enumerate(images):
            whole = len(paths) == len(images)
            path = paths[index] if whole else _clip_path(results)
            if image is None or not np.size(image):
                raise BadFileError.of(path, 'cannot be decoded')
        sizes = dict.fromkeys(np.shape(image) for image in images)
        if len(sizes) > 1:
            found = first_fault(
                list(_frame_paths(results)), _clip_frames(results)
            )
            if found:
                raise BadFileError.of(*found)
            words = ' and '.join(f'{w} x {h}' for h, w, *_ in sizes)
            raise BadFileError.of(
                _clip_path(results), f'has frames of {words} px'
            )

    @staticmethod
    def _explain(results: dict, error: Exception) -> Optional[BadFileError]:
        """Find the file; None where the error is no file's fault."""
        found = first_fault(list(_frame_paths(results)), _clip_frames(results))
        if found:
            return BadFileError.of(*found)
        path = _clip_path(results)
        if isinstance(error, FileNotFoundError):
            return BadFileError.of(path, 'is missing')
        if os.path.isfile(path) and not os.path.getsize(path):
            return BadFileError.of(path, 'is empty')
        if os.path.splitext(path)[1].lower() in _PICTURES:
            found = first_fault([path], ())
            if found:
                return BadFileError.of(*found)
        if isinstance(error, _OF_CODE):
            return None
        line = next(iter(str(error).splitlines()), '')[:300]
        return BadFileError.of(path, f'fails: {type(error).__name__}: {line}')

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_') or name == 'step':
            raise AttributeError(name)
        return getattr(self.step, name)

    def __repr__(self) -> str:
        return repr(self.step)


def _frame_paths(results: dict, distinct: bool = True) -> Iterator[str]:
    """Files of the frames drawn, where they are files."""
    wanted = {'frame_dir', 'filename_tmpl', 'frame_inds'}
    if not wanted <= results.keys() or results.get('pack') is not None:
        return
    if results.get('modality', 'RGB') != 'RGB':
        return
    numbers = np.asarray(results['frame_inds']).reshape(-1).tolist()
    yield from _named(results, dict.fromkeys(numbers) if distinct else numbers)


def _named(results: dict, numbers: Iterable[int]) -> Iterator[str]:
    for number in numbers:
        name = results['filename_tmpl'].format(
            number + results.get('offset', 0)
        )
        yield os.path.join(results['frame_dir'], name)


def _clip_frames(results: dict) -> list[str]:
    """Files of the clip's frames, at most 300: those drawn, then others.

    Not all files in the folder, which may hold the frames of other clips.
    """
    paths = list(_frame_paths(results))
    if not paths or not os.path.isdir(results['frame_dir']):
        return []
    total, first = results.get('total_frames', 0), results.get('start_index')
    if first is not None:
        with suppress(IndexError):  # an annotation of too many frames
            paths += _named(results, range(first, first + min(total, _MOST)))
    return list(dict.fromkeys(paths))[:_MOST]


def _clip_path(results: dict) -> str:
    keys = ('filename', 'frame_dir', *_FILES, 'video_id')
    return next((str(results[key]) for key in keys if key in results), '?')


def guard(dataset: Any) -> None:
    """Watch what reads files in a data set, also in wrappers around it.

    Args:
        dataset: Of MMEngine; its transforms are wrapped in place, once.
    """
    for part in getattr(dataset, 'datasets', ()):
        guard(part)
    if hasattr(dataset, 'dataset'):
        guard(dataset.dataset)
    pipeline = getattr(dataset, 'pipeline', None)
    if not isinstance(pipeline, Compose):
        return
    pipeline.transforms = [
        GuardedStep(step) if _reads(step) else step
        for step in pipeline.transforms
    ]


def _reads(step: Any) -> bool:
    """By name, as in MMAction2: DecordInit, RawFrameDecode, LoadProposals."""
    if isinstance(step, GuardedStep):
        return False
    names = [kind.__name__ for kind in type(step).__mro__]
    return any(
        name.endswith(('Init', 'Decode')) or name.startswith('Load')
        for name in names
    )
