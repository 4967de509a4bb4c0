"""Compare a pack with its folder, byte for byte."""

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Optional

from micacl_mm.datasets.folders import list_frames

from .ahead import Progress, map_ahead
from .clip_folders import ClipFolder, find_clip_folders
from .frame_pack import FramePack
from .layout import PackedFrame


def verify_pack(
    out: str,
    source: Optional[str] = None,
    *,
    workers: int = 4,
    progress: bool = False,
) -> list[tuple[str, str]]:
    """Read all of a pack, and all of the folder it was made of.

    Args:
        out (str): The pack.
        source (str, optional): The folder. Defaults to None, checksums alone.
        workers (int): Threads that read. Defaults to 4.
        progress (bool): Show progress on stderr. Defaults to False.

    Returns:
        list[tuple[str, str]]: Clip or frame, and what is wrong; empty if the
        pack holds exactly what the folder holds.

    Raises:
        ImportError, FileNotFoundError, ValueError: As of :class:`FramePack`.
    """
    pack = FramePack(out)
    folders: dict[str, ClipFolder] = {}
    if source is not None:
        root = os.path.abspath(os.path.expanduser(source))
        folders = {clip.name: clip for clip in find_clip_folders(root)}
    packed = pack.clips()
    known = set(packed)
    lost = [folder for folder in folders.values() if folder.problem]
    wrong = [
        (name, folder.problem or 'not in the pack')
        for name, folder in folders.items()
        if folder.problem or name not in known
    ]

    def check(name: str) -> list[tuple[str, str]]:
        # What lies in a folder that cannot be listed is not to be known.
        compare = source is not None and not any(f.holds(name) for f in lost)
        return list(_check(pack, name, folders.get(name), compare))

    shown = Progress(len(packed), progress)
    with closing(map_ahead(check, packed, workers)) as found:
        for problems in found:
            wrong += problems
            shown.step(len(wrong))
    return sorted(wrong)


def _check(
    pack: FramePack, name: str, folder: Optional[ClipFolder], compare: bool
) -> Iterator[tuple[str, str]]:
    frames = {frame.name: frame for frame in pack.frames(name)}
    if compare and folder is None:
        yield name, 'not in the folder'
        return
    for frame in frames.values():
        try:
            data = pack.read(name, frame.name)
        except (KeyError, ValueError) as error:
            yield f'{name}/{frame.name}', str(error.args[0])
            continue
        if PackedFrame.of(frame.name, data) != frame:
            yield f'{name}/{frame.name}', 'damaged in the pack'
        elif compare:
            problem = _compare(os.path.join(folder.path, frame.name), data)
            if problem:
                yield f'{name}/{frame.name}', problem
    if compare:
        for entry in sorted(_names(folder) - frames.keys()):
            yield f'{name}/{entry}', 'not in the pack'


def _compare(path: str, data: bytes) -> str:
    try:
        with open(path, 'rb') as file:
            return '' if file.read() == data else 'differs from the folder'
    except OSError as error:
        return f'not to be read in the folder: {error.strerror}'


def _names(folder: ClipFolder) -> set[str]:
    try:
        return set(list_frames(folder.path))
    except OSError:
        return set()
