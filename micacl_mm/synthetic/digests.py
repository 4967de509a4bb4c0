"""What a set in DFEW's layout holds, as checksums."""

from __future__ import annotations

import hashlib
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from .clip import ClipSpec, clip_layout
from .layouts import frame_dir, frame_name
from .settings import SyntheticSettings

BLOCK = 100  # clips under one checksum
_MOST_BYTES = 2**26  # of a workbook, once unpacked
_WIDTH = 8  # hexadecimal digits of a block's checksum


class FrameDigests(NamedTuple):
    """Checksums of the frames, in the order of the clips' names.

    Attributes:
        blocks (list[str]): One checksum for each ``BLOCK`` clips.
        damaged (list[str]): Folders of clips that lack a frame, have an
            empty one or one too many, relative to the root.
    """

    blocks: list[str]
    damaged: list[str]


def join_blocks(blocks: list[str]) -> str:
    """One checksum of all frames."""
    return hashlib.sha256('\n'.join(blocks).encode()).hexdigest()


def label_digest(root: Path, folds: tuple[int, ...]) -> str:
    """Checksum of split files and annotation.

    A workbook is a zip file, whose bytes hang on the zlib at hand: what is
    in it counts.
    """
    total = hashlib.sha256()
    for fold in folds:
        for part in ('train', 'test'):
            name = f'{part}(single-labeled)/set_{fold}.csv'
            path = root / 'EmoLabel_DataSplit' / name
            _feed(total, name, path.read_bytes())
    for name, data in _read_book(root / 'Annotation/annotation.xlsx'):
        _feed(total, name, data)
    return total.hexdigest()


def _read_book(path: Path) -> list[tuple[str, bytes]]:
    """Name and bytes of what is in a workbook."""
    try:
        with zipfile.ZipFile(path) as book:
            infos = sorted(book.infolist(), key=lambda info: info.filename)
            if sum(info.file_size for info in infos) > _MOST_BYTES:
                raise zipfile.BadZipFile(f'{path}: too large once unpacked')
            return [(info.filename, book.read(info)) for info in infos]
    except FileNotFoundError:
        raise
    except (
        *(OSError, ValueError, RuntimeError, EOFError, NotImplementedError),
        *(zlib.error, lzma.LZMAError, struct.error),
    ) as error:
        raise zipfile.BadZipFile(f'{path}: {error}') from None


def frame_digests(
    root: Path, clips: tuple[ClipSpec, ...], settings: SyntheticSettings
) -> FrameDigests:
    """Checksums of the names and bytes of all frames."""
    blocks, damaged = [], []
    for first in range(0, len(clips), BLOCK):
        total = hashlib.sha256()
        for clip in clips[first : first + BLOCK]:
            folder = frame_dir(settings.layout, clip)
            if not _feed_clip(total, root / folder, clip, settings):
                damaged.append(folder)
        blocks.append(total.hexdigest()[:_WIDTH])
    return FrameDigests(blocks, damaged)


def _feed_clip(
    total: hashlib._Hash,
    folder: Path,
    clip: ClipSpec,
    settings: SyntheticSettings,
) -> bool:
    """Add a clip's frames, and say whether it has all and no other."""
    found = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    _, numbers = clip_layout(clip, settings.seed, settings.layout)
    names = [frame_name(settings.layout, clip, n) for n in numbers]
    whole = found == set(names)
    for name in names:
        data = (folder / name).read_bytes() if name in found else b''
        whole = whole and bool(data)
        _feed(total, name, data)
    return whole


def _feed(total: hashlib._Hash, name: str, data: bytes) -> None:
    total.update(f'{name} {len(data)}\n'.encode())
    total.update(data)
