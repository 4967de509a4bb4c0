"""What may be wrong with the files of frames."""

import errno
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple, Optional

import cv2
import numpy as np

#: Errors that are the machine's fault and not the file's.
MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
JPEG, END_OF_JPEG = b'\xff\xd8\xff', b'\xff\xd9'
PNG, END_OF_PNG = b'\x89PNG\r\n', b'IEND\xaeB`\x82'
_START_OF_SCAN = 0xDA


class Look(NamedTuple):
    """What a look at a file has found."""

    fault: Optional[str] = None
    #: Height and width, of a good frame.
    size: tuple[int, ...] = ()


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG has lost its end. Other formats: False.

    Args:
        data (bytes): Of the file.
    """
    if data.startswith(PNG):
        return END_OF_PNG not in data
    if not data.startswith(JPEG):
        return False
    # Harmless bytes may follow the end; a preview inside may have one.
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == _START_OF_SCAN:
            return END_OF_JPEG not in data[place:]
        place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
    return True


def frame_fault(data: bytes) -> Optional[str]:
    """Say what is wrong with the file of a frame, None if nothing is."""
    return _look(data).fault


@cache
def cv2_sees_cuts() -> bool:
    """Whether this OpenCV refuses half a picture; older ones fill it up."""
    image = np.random.RandomState(0).randint(0, 255, (32, 32, 3), np.uint8)
    cuts = (cv2.imencode(s, image)[1] for s in ('.jpg', '.png'))
    halves = [cut[: len(cut) * 3 // 4] for cut in cuts]
    return all(cv2.imdecode(half, cv2.IMREAD_COLOR) is None for half in halves)


def clip_faults(paths: Iterable[str]) -> dict[str, str]:
    """Find the bad frames of a clip, also those of another size than most.

    Args:
        paths (Iterable[str]): All that belong to the clip.

    Returns:
        dict[str, str]: by path, what is wrong. Where no size is that of more
        frames than any other, nothing is said of sizes.
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


def first_fault(
    drawn: Sequence[str], frames: Iterable[str]
) -> Optional[tuple[str, str]]:
    """Find the frame for which a clip cannot be read.

    Args:
        drawn (Sequence[str]): Frames that were to be read.
        frames (Iterable[str]): All of the clip. They are looked at where
            those drawn differ in size, to see which size is the odd one.

    Returns:
        tuple[str, str], optional: path and fault of one of those drawn.
    """
    looks = {path: _look_at(path) for path in drawn}
    faults = {path: look.fault for path, look in looks.items() if look.fault}
    if not faults and len({look.size for look in looks.values()}) > 1:
        faults = clip_faults(frames)
    return next(((p, faults[p]) for p in drawn if p in faults), None)


def _look(data: bytes) -> Look:
    if not data:
        return Look('is empty')
    if is_cut_off(data):
        return Look('is cut off: it has no end')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        return Look('cannot be decoded')
    return Look(size=image.shape[:2])


def _look_at(path: str) -> Look:
    try:
        with open(path, 'rb') as file:
            return _look(file.read())
    except FileNotFoundError:
        return Look('is missing')
    except OSError as error:
        if error.errno in MACHINE:
            raise
        return Look(f'cannot be opened: {error.strerror}')
