"""Choose one of the copies of a set's clips that were found on disk."""

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Optional

from .clip_finders import FoundClip
from .folders import list_frames

# Below this share of the best copy's clips of the split a copy is incomplete.
COMPLETE = 0.95
PROBES = 5  # clip folders looked into before a copy is believed


@dataclass(frozen=True)
class Layout:
    """The chosen copy of the clips.

    Args:
        clips (dict): Path of each clip by its key; empty if no copy fits.
        covered (int): Number of the wanted clips among them.
        text (str): Where the clips lie, in words, for the log.
    """

    clips: dict[str, str]
    covered: int
    text: str


@dataclass(eq=False)
class _Copy:
    """Clips found in one folder, or in the parts of one."""

    path: str
    clips: dict[str, str] = field(default_factory=dict)
    bases: dict[str, None] = field(default_factory=dict)  # an ordered set
    covered: int = 0
    kind: int = 0
    text: str = ''
    fits: bool = True


def choose_layout(
    found: Iterable[FoundClip],
    root: str,
    preferred: Sequence[tuple[str, str]],
    wanted: Collection[str],
    source: str,
    above: str = '',
) -> Layout:
    """Choose one copy of the clips where several lie side by side.

    Part folders and doubled folders of one copy are joined. A copy in whose
    folders no image is found, or whose path below ``root`` fits no pattern,
    is never chosen, one that fits only the last pattern not if another holds
    half of the wanted clips. Of the rest those win that hold nearly as many
    of these as the best, among them the first by ``preferred``.

    Args:
        found (Iterable[FoundClip]): The clips, the shallowest first.
        root (str): Where the search began.
        preferred (Sequence[tuple[str, str]]): Pairs of a copy's description
            and a pattern of its folder, the last for any folder.
        wanted (Collection[str]): Keys of the clips of the split.
        source (str): ``'frames'`` or ``'videos'``.
        above (str): Folders above ``root`` that the patterns see too.
            Defaults to ''.

    Returns:
        Layout: Without clips if no copy fits.
    """
    copies = _collect(found, root)
    for copy in copies:
        copy.covered = sum(key in copy.clips for key in wanted)
        _judge(copy, preferred, above)
        if copy.fits and source == 'frames' and not _has_images(copy, wanted):
            copy.fits, copy.text = False, 'no image in them'
    copies = _rank(copies, len(preferred) - 1, len(wanted))
    texts = [
        f'{_shorten(list(copy.bases))} ({copy.text}, {copy.covered} of '
        f'{len(wanted)} clips)'
        for copy in copies
    ]
    best = copies[0] if copies and copies[0].fits else _Copy('')
    used = f'{texts.pop(0)} ' if best.path else ''
    rest = f'; left aside: {"; ".join(texts)}' if texts else ''
    return Layout(best.clips, best.covered, f'{used}below {root}{rest}')


def _judge(
    copy: _Copy, preferred: Sequence[tuple[str, str]], above: str
) -> None:
    """Say by its name what a copy is, and whether it is to be had."""
    last = len(preferred) - 1
    kind = _kind(copy.path, preferred)
    copy.fits = kind is not None
    if above and kind in (None, last):
        kind = _kind(f'{above}/{copy.path}', preferred)
    copy.kind = last if kind is None else kind
    copy.text = preferred[copy.kind][0] if copy.fits else 'not of faces'


def _rank(copies: list[_Copy], last: int, total: int) -> list[_Copy]:
    fitting = [copy for copy in copies if copy.fits]
    known = [copy for copy in fitting if copy.kind < last]
    # What a folder of any other name holds is not known: better a person is
    # told that a tenth of the faces is missing than given something else.
    if 2 * max((c.covered for c in known), default=0) >= total:
        fitting = known
    bar = COMPLETE * max((c.covered for c in fitting), default=0)

    def rank(copy: _Copy) -> tuple:
        competes = copy in fitting and copy.covered >= bar
        return not copy.fits, not competes, copy.kind, -copy.covered

    return sorted(copies, key=rank)


def _collect(found: Iterable[FoundClip], root: str) -> list[_Copy]:
    copies: dict[str, _Copy] = {}
    for key, path, base in found:
        relative = os.path.relpath(base, root).replace(os.sep, '/')
        name = _without_parts(relative)
        copy = copies.setdefault(name, _Copy(name))
        # The walk comes from above: of a clip that is there twice the
        # shallower one is kept.
        copy.clips.setdefault(key, path)
        copy.bases[relative] = None
    return list(copies.values())


def _kind(path: str, preferred: Sequence[tuple[str, str]]) -> Optional[int]:
    """Position of the first pattern that fits."""
    for kind, (_, pattern) in enumerate(preferred):
        if re.search(pattern, path, re.IGNORECASE):
            return kind
    return None


def _has_images(copy: _Copy, wanted: Collection[str]) -> bool:
    """Whether one of a few clip folders, spread evenly, has an image."""
    paths = [copy.clips[key] for key in wanted if key in copy.clips]
    paths = paths or list(copy.clips.values())
    for path in paths[:: -(-len(paths) // PROBES)]:
        try:
            if list_frames(path):
                return True
        except OSError:
            continue
    return False


def _without_parts(path: str) -> str:
    """The folder that ``path`` would be, had it not been cut or doubled.

    Example:
        >>> _without_parts('Clip/clip_224x224/clip_224x224_part_3')
        'Clip/clip_224x224'
    """
    parts: list[str] = []
    for part in path.split('/'):
        part = re.sub(r'[_-]?part[_-]?\d+$', '', part, flags=re.IGNORECASE)
        # The numbered archives of one folder that a cloud drive hands out.
        part = re.sub(r'(-\d{8}T\d{6}Z-\d{3}|-00\d)$', '', part)
        if part and not part.isdecimal() and parts[-1:] != [part]:
            parts.append(part)
    return '/'.join(parts) or '.'


def _shorten(names: Sequence[str]) -> str:
    if len(names) <= 2:
        return ' and '.join(names)
    return f'{names[0]} and {len(names) - 1} more folders'
