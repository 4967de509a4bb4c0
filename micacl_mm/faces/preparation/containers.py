"""Whether a video file has all the bytes that it says it has."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Optional

_HEAD = 16  # bytes, in which the length of a part stands


def is_cut_off(path: str) -> bool:
    """Whether the last part of a video file ends beyond the file.

    Parts are the boxes of mp4, m4v and mov, the chunks of avi, and the
    elements of mkv and webm, each of which begins with its length.

    Args:
        path (str): The file.

    Returns:
        bool: False also where it cannot be told: of other files, and of
        streams that were written without a length.

    Raises:
        OSError: If the file cannot be read.
    """
    whole, end = os.path.getsize(path), 0
    with open(path, 'rb') as file:
        length_of = _reader_of(file.read(_HEAD))
        while length_of and end < whole:
            file.seek(end)
            length = length_of(file.read(_HEAD).ljust(_HEAD, b'\0'))
            if not length:
                return False
            end += length
    return end > whole


def _reader_of(head: bytes) -> Optional[Callable[[bytes], int]]:
    """What tells the length of a part, 0 if unknown, by its head."""
    if head[4:8] in (b'ftyp', b'moov', b'mdat', b'wide', b'free', b'skip'):
        return _box_length
    if head[:4] == b'RIFF':
        return _chunk_length
    return _element_length if head[:4] == b'\x1aE\xdf\xa3' else None


def _box_length(head: bytes) -> int:
    length = int.from_bytes(head[:4], 'big')
    if length == 1:  # too long for four bytes
        length = int.from_bytes(head[8:16], 'big')
    return length if length >= 8 else 0  # 0: up to the end


def _chunk_length(head: bytes) -> int:
    length = int.from_bytes(head[4:8], 'little')
    return 8 + length + length % 2 if length else 0  # 0: never finished


def _element_length(head: bytes) -> int:
    # A number is as long as its first byte has zeros in front, and one more.
    name, digits = 9 - head[0].bit_length(), 0
    if name <= 4:
        digits = 9 - head[name].bit_length()
    if not 1 <= digits <= 8:
        return 0
    largest = (1 << 7 * digits) - 1
    length = int.from_bytes(head[name : name + digits], 'big') & largest
    return name + digits + length if length < largest else 0  # unknown
