"""Whether a pack holds the frames that lie in the folders."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .frame_pack import FramePack
from .layout import REPACK, PackedFrame

_AGAIN = (
    f'do {REPACK} again with the folder of the clips, or leave the pack out'
)
_READ = 200  # clips, about, of which a frame is read


def fit_pack(pack: FramePack, infos: Sequence[dict]) -> list[str]:
    """Find the clips of a data set in a pack.

    The folders are the truth: the names of all frames must be those of the
    folder, the sizes of the first, the middle and the last frame of each
    clip (a request each on a network disk), and the checksum of one frame in
    each of some 200 clips spread over the set. ``pack_frames.py --verify``
    compares every byte of all.

    Args:
        pack (FramePack): The pack.
        infos (Sequence[dict]): With ``frame_dir`` and ``frames``.

    Returns:
        list[str]: Name of each clip in the pack.

    Raises:
        ValueError: It does not fit; the message says what to do.
    """
    folders = [os.path.abspath(info['frame_dir']) for info in infos]
    clips = _name_clips(pack, folders)
    step = -(-len(infos) // _READ)

    def compare(at: int) -> str:
        names = infos[at]['frames']
        frames = {frame.name: frame for frame in pack.frames(clips[at])}
        wrong = _compare(frames, folders[at], names)
        if wrong or at % step:
            return wrong
        # Not the same one of each clip.
        return _read(frames[names[at // step % len(names)]], folders[at])

    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        wrong = list(filter(None, pool.map(compare, range(len(infos)))))
    if wrong:
        raise ValueError(
            f'pack {pack.path} does not fit the folders: {wrong[0]}'
            f'{_more(len(wrong) - 1)}; {_AGAIN}'
        )
    return clips


def _more(count: int) -> str:
    return f' (and {count} more clips)' if count else ''


def _name_clips(pack: FramePack, folders: Sequence[str]) -> list[str]:
    """Names relative to the folder that was packed, which nobody knows."""
    packed = set(pack.clips())
    most, best = -1, []
    for root in _roots(folders):
        names = [_relative(folder, root) for folder in folders]
        missing = [name for name in names if name not in packed]
        if not missing:
            return names
        if len(names) - len(missing) > most:
            most, best = len(names) - len(missing), missing
    text = f'lacks {len(best)} of {len(folders)} clips, {best[0]} first'
    if most == 0:
        text = 'is of another set, none of the clips is in it'
    raise ValueError(f'pack {pack.path} {text}; {_AGAIN}')


def _roots(folders: Sequence[str]) -> Iterator[str]:
    """Folders above all clips, the lowest first."""
    root = os.path.commonpath(folders)
    if root in folders:  # a single clip, or one that holds others
        yield root
        root = os.path.dirname(root)
    while True:
        yield root
        above = os.path.dirname(root)
        if above == root:
            return
        root = above


def _relative(folder: str, root: str) -> str:
    return os.path.relpath(folder, root).replace(os.sep, '/')


def _compare(
    frames: dict[str, PackedFrame], folder: str, names: Sequence[str]
) -> str:
    """What differs in names and sizes, in words."""
    if frames.keys() != set(names):
        new = sorted(set(names) - frames.keys())
        gone = sorted(frames.keys() - set(names))
        only = f'{new[0]} is only in' if new else f'{gone[0]} is not in'
        return f'{only} {folder}'
    for name in {names[0], names[len(names) // 2], names[-1]}:
        size = os.path.getsize(os.path.join(folder, name))
        if size != frames[name].size:
            return (
                f'{name} in {folder} has {size} bytes instead of '
                f'{frames[name].size}'
            )
    return ''


def _read(frame: PackedFrame, folder: str) -> str:
    """What differs in the bytes of a frame, in words."""
    with open(os.path.join(folder, frame.name), 'rb') as file:
        if PackedFrame.of(frame.name, file.read()) == frame:
            return ''
    return f'{frame.name} in {folder} has other bytes than those packed'
