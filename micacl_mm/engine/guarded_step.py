"""Transforms that read files, watched."""

import errno
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Optional

import cv2
import numpy as np
from mmengine.dataset import Compose

from .bad_files import BadFileError

#: The machine's fault and not the file's.
_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_JPEG, _END_OF_JPEG = b'\xff\xd8\xff', b'\xff\xd9'
_PNG, _END_OF_PNG = b'\x89PNG\r\n', b'IEND\xaeB`\x82'
_START_OF_SCAN = 0xDA
#: Backends of MMCV that refuse half a picture; OpenCV is looked at.
_STRICT = ('cv2', 'pillow')
_FRAMES = {'.jpg', '.jpeg', '.png', '.bmp'}


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG has lost its end. Other formats: False.

    Args:
        data (bytes): Of the file.
    """
    if data.startswith(_PNG):
        return _END_OF_PNG not in data
    if not data.startswith(_JPEG):
        return False
    # Harmless bytes may follow the end; a preview inside may have one.
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == _START_OF_SCAN:
            return _END_OF_JPEG not in data[place:]
        place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
    return True


def frame_fault(data: bytes) -> Optional[str]:
    """Say what is wrong with the file of a frame, None if nothing is."""
    if not data:
        return 'is empty'
    if is_cut_off(data):
        return 'is cut off: it has no end'
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    return 'cannot be decoded' if image is None else None


@cache
def cv2_sees_cuts() -> bool:
    """Whether this OpenCV refuses half a picture; older ones fill it up."""
    image = np.random.RandomState(0).randint(0, 255, (32, 32, 3), np.uint8)
    cuts = (cv2.imencode(s, image)[1] for s in ('.jpg', '.png'))
    halves = [cut[: len(cut) * 3 // 4] for cut in cuts]
    return all(cv2.imdecode(half, cv2.IMREAD_COLOR) is None for half in halves)


def faults_beside(path: str) -> Iterator[tuple[str, str]]:
    """Find the other broken frames of a clip, also those not drawn.

    Args:
        path (str): A broken one. Nothing is looked for beside videos.

    Yields:
        tuple[str, str]: path and fault.
    """
    folder, suffix = os.path.dirname(path), os.path.splitext(path)[1]
    if suffix.lower() not in _FRAMES or not os.path.isdir(folder):
        return
    for name in sorted(os.listdir(folder)):
        other = os.path.join(folder, name)
        if other == path or not name.endswith(suffix):
            continue
        try:
            with open(other, 'rb') as file:
                fault = frame_fault(file.read())
        except OSError as error:
            fault = f'cannot be opened: {error.strerror}'
        if fault:
            yield other, fault


class GuardedStep:
    """A transform that reads files; its failures name the file.

    Decoders do not agree on what they make of a broken file: an error of
    their own, None, or half a picture in grey. Here each is a
    :class:`BadFileError`: a file that is missing, empty, cut off or cannot
    be decoded, and a frame of another size than the first of its clip.
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
        if self._lenient:
            self._check_ends(results)
        try:
            found = self.step(results)
        except BadFileError:
            raise
        except (ImportError, MemoryError, NotImplementedError):
            raise
        except Exception as error:
            if getattr(error, 'errno', None) in _MACHINE:
                raise
            raise self._explain(results, error) from error
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
                    if not begin.startswith((_JPEG, _PNG)):
                        continue  # the decoder's to judge
                    file.seek(-len(_END_OF_PNG), os.SEEK_END)
                    end = file.read()
                    if end.endswith((_END_OF_JPEG, _END_OF_PNG)):
                        continue
                    file.seek(0)
                    data = file.read()
            except OSError as error:
                if error.errno in _MACHINE:
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
            if np.shape(image) != np.shape(images[0]):
                here, first = np.shape(image), np.shape(images[0])
                raise BadFileError.of(
                    path,
                    f'is {here[1]} x {here[0]} px, the first frame of its '
                    f'clip {first[1]} x {first[0]}',
                )

    @staticmethod
    def _explain(results: dict, error: Exception) -> BadFileError:
        for path in _frame_paths(results):
            try:
                with open(path, 'rb') as file:
                    fault = frame_fault(file.read())
            except FileNotFoundError:
                fault = 'is missing'
            except OSError as problem:
                fault = f'cannot be opened: {problem.strerror}'
            if fault:
                return BadFileError.of(path, fault)
        path = _clip_path(results)
        if isinstance(error, FileNotFoundError):
            return BadFileError.of(path, 'is missing')
        if os.path.isfile(path) and not os.path.getsize(path):
            return BadFileError.of(path, 'is empty')
        line = next(iter(str(error).splitlines()), '')[:300]
        return BadFileError.of(path, f'fails: {type(error).__name__}: {line}')

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_') or name == 'step':
            raise AttributeError(name)
        return getattr(self.step, name)

    def __repr__(self) -> str:
        return repr(self.step)


def _frame_paths(results: dict, distinct: bool = True) -> Iterator[str]:
    """Files of the frames, where they are files."""
    wanted = {'frame_dir', 'filename_tmpl', 'frame_inds'}
    if not wanted <= results.keys() or results.get('pack') is not None:
        return
    if results.get('modality', 'RGB') != 'RGB':
        return
    numbers = np.asarray(results['frame_inds']).reshape(-1).tolist()
    for number in dict.fromkeys(numbers) if distinct else numbers:
        name = results['filename_tmpl'].format(
            number + results.get('offset', 0)
        )
        yield os.path.join(results['frame_dir'], name)


def _clip_path(results: dict) -> str:
    keys = ('filename', 'frame_dir', 'video_id')
    return next((str(results[key]) for key in keys if key in results), '?')


def guard(dataset: Any) -> None:
    """Watch what reads files in a data set, also in wrappers around it.

    Args:
        dataset: Of MMEngine; its transforms are wrapped in place, once.
    """
    for part in (*getattr(dataset, 'datasets', ()), dataset):
        if part is not dataset:
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
    """By name, as MMAction2 has it: DecordInit, RawFrameDecode."""
    if isinstance(step, GuardedStep):
        return False
    names = [kind.__name__ for kind in type(step).__mro__]
    return any(name.endswith(('Init', 'Decode')) for name in names)
