"""Find the clips of a set on disk, however they were unpacked.

Archives of the same set end up doubled (``a/a/clip``), cut into part folders
or below one more folder, and several copies lie side by side. The folders
below the root are walked to a small depth, whatever looks like a clip is
collected, and one copy is chosen.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from micacl_mm.utils.folders import (
    VIDEO_SUFFIXES,
    Folder,
    list_folder,
    list_frames,
    walk,
)

from .splits import SplitRow, shorten

# Below this share of the best copy's clips of the split a copy is incomplete.
COMPLETE = 0.95
PROBES = 5  # clip folders looked into before a copy is believed
DEPTH = 5  # levels below the root where clips may lie
#: What is derived from faces or shows more than a face is never one.
NOT_FACES = '|'.join(
    (
        '(?<!work)(?<!over)(?<!tensor)flow',
        *('optical', 'tvl1', 'farneback', '(^|[/_])(of|raft)(_|$|/)'),
        *('(?<!e)motion', 'landmark', 'lmk', 'key_?point', 'skeleton', 'pose'),
        *('mesh', '3dmm', 'heat_?map', 'heat$', 'saliency', 'grad_?cam'),
        *('(?<!un)mask', 'segm', 'parsing', 'silhouette', 'depth', 'normals'),
        *('residual', 'gaze', 'canny', 'sobel', 'thumb', 'context'),
        '(^|[/_])(edges?|diff|eyes?|mouth|lips?|hog|lbp)(_|$|/)',
        *('audio', 'spectrogram', 'body', 'background', 'labelclips'),
        *('(^|/)original', 'scen[^/]*$'),  # whole scenes
    )
)


class FoundClip(NamedTuple):
    """A clip on disk: its name in the set, its path, what it lies in."""

    key: str
    path: str
    base: str


@dataclass(eq=False)
class Layout:
    """A copy of the clips: those in one folder, or in the parts of one."""

    copy: str = ''  # folder below the root
    clips: dict[str, str] = field(default_factory=dict)  # path by key
    bases: dict[str, None] = field(default_factory=dict)  # its part folders
    covered: int = 0  # number of the wanted clips
    kind: int = 0  # which of the preferred ones it is
    text: str = ''  # in words, for the log
    fits: bool = True  # whether it may hold faces


class FrameNames(list):
    """A list of file names that answers like a file name template.

    MMAction2's ``RawFrameDecode`` asks ``filename_tmpl.format(index)`` for
    the name of a frame. Face frames are numbered with gaps wherever no face
    was found; here the index counts the frames that are there, from 0.
    """

    def format(self, index: int) -> str:
        """Name of the frame at a position."""
        # A negative index would silently read from the end of the clip.
        if not 0 <= index < len(self):
            raise IndexError(
                f'FrameNames: index must be in 0..{len(self) - 1}, got '
                f'{index}; sample with start_index=0.'
            )
        return self[index]


def find_emotion_clips(
    root: str, source: str, emotions: Sequence[str]
) -> Iterator[FoundClip]:
    """Clips in ``<Scene>/<Emotion>/<clip>``, as in FERV39k.

    The scenes are recognised by the emotion folders below them.
    """
    names = {emotion.lower() for emotion in emotions}
    for folder in _levels(root, lambda name: name.lower() not in names):
        base, scene = os.path.split(folder.path)
        for emotion in folder.folders:
            if emotion.name.lower() in names:
                listed = list_folder(emotion.path)
                for name, path in _named_clips(listed, source):
                    key = f'{scene}/{emotion.name}/{pad_number(name)}'
                    yield FoundClip(key.lower(), path, base)


def find_named_clips(
    root: str, source: str, pattern: str, part: str
) -> Iterator[FoundClip]:
    """Clips whose names match a pattern, in folders that match ``part``.

    Their keys are the names in lower case, numbers in five digits.
    """
    name_of, part_of = re.compile(pattern), re.compile(part)

    def enters(name: str) -> bool:
        # Videos may lie in part folders '00', '01', .. beside thousands of
        # folders of frames, '00001', which are not worth a look.
        short = source == 'videos' and len(name) < 4
        return short or not name_of.fullmatch(name)

    for folder in _levels(root, enters):
        base = folder.path
        while base != root and part_of.fullmatch(os.path.basename(base)):
            base = os.path.dirname(base)
        for name, path in _named_clips(folder, source):
            if name_of.fullmatch(name):
                yield FoundClip(pad_number(name, 5).lower(), path, base)


def pad_number(name: str, digits: int = 4) -> str:
    """A clip's number in so many digits; other names as they are."""
    return f'{int(name):0{digits}d}' if name.isdecimal() else name


def _levels(root: str, enters: Callable[[str], bool]) -> list[Folder]:
    """Folders below a root, shallow ones first."""
    found = []
    for folder in walk(root, DEPTH):
        found.append(folder._replace(folders=list(folder.folders)))
        folder.folders[:] = [e for e in folder.folders if enters(e.name)]
    return sorted(found, key=lambda folder: folder.depth)


def _named_clips(folder: Folder, source: str) -> Iterator[tuple[str, str]]:
    """Name and path of what may be clips."""
    if source == 'frames':
        yield from ((entry.name, entry.path) for entry in folder.folders)
        return
    for entry in folder.files:
        stem, suffix = os.path.splitext(entry.name)
        if suffix.lower() in VIDEO_SUFFIXES:
            yield stem, entry.path


def choose_layout(
    found: Iterable[FoundClip],
    root: str,
    preferred: Sequence[tuple[str, str]],
    wanted: Collection[str],
    source: str,
    named: Optional[str] = None,
) -> Layout:
    """Choose one copy of the clips where several lie side by side.

    Part folders and doubled folders of one copy are joined. A copy in whose
    folders no image is found, or whose path tells that it holds no faces
    (:data:`NOT_FACES`), is never chosen, one that fits only the last pattern
    not if another holds some of the wanted clips. Of the rest those win that
    hold nearly as many of these as the best, among them the first by
    ``preferred``, pairs of a description and a pattern of the folder. Where a
    person has ``named`` the root, its own name counts too, and what lies
    there is taken. If no copy fits, the layout has no clips.
    """
    copies: dict[str, Layout] = {}
    for key, path, base in found:
        relative = os.path.relpath(base, root).replace(os.sep, '/')
        name = _without_parts(relative)
        copy = copies.setdefault(name, Layout(name))
        # The walk comes from above: of a clip that is there twice the
        # shallower one is kept.
        copy.clips.setdefault(key, path)
        copy.bases[relative] = None
    last = len(preferred) - 1
    for copy in copies.values():
        copy.covered = sum(key in copy.clips for key in wanted)
        path = copy.copy
        if named:
            path = '/'.join([*root.split(os.sep)[-2:], path]).rstrip('/.')
        faces = source == 'videos' or not _fits(NOT_FACES, path)
        kinds = (i for i, (_, p) in enumerate(preferred) if _fits(p, path))
        copy.kind = next(kinds, last) if faces else last
        copy.text = preferred[copy.kind][0]
        if not (faces or named):
            copy.fits, copy.text = False, 'not of faces'
        elif source == 'frames' and not _has_images(copy, wanted):
            copy.fits, copy.text = False, 'no image in them'
    ranked = _rank([*copies.values()], last)
    texts = [
        f'{shorten([*copy.bases], 2)} ({copy.text}, {copy.covered} of '
        f'{len(wanted)} clips)'
        for copy in ranked
    ]
    best = ranked[0] if ranked and ranked[0].fits else Layout()
    used = f'{texts.pop(0)} ' if best.copy else ''
    rest = f'; not used: {"; ".join(texts)}' if texts else ''
    best.text = f'{used}below {root}{rest}'
    return best


def _fits(pattern: str, path: str) -> bool:
    return re.search(pattern, path, re.IGNORECASE) is not None


def _rank(copies: list[Layout], last: int) -> list[Layout]:
    fitting = [copy for copy in copies if copy.fits]
    known = [copy for copy in fitting if copy.kind < last and copy.covered]
    # What a folder of any other name holds is not known: better a person is
    # told that a tenth of the faces is missing than given something else.
    if known:
        fitting = known
    bar = COMPLETE * max((c.covered for c in fitting), default=0)

    def rank(copy: Layout) -> tuple:
        competes = copy in fitting and copy.covered >= bar
        return not copy.fits, not competes, copy.kind, -copy.covered

    return sorted(copies, key=rank)


def _has_images(copy: Layout, wanted: Collection[str]) -> bool:
    """Whether one of a few clip folders, spread evenly, has an image."""
    paths = [copy.clips[key] for key in wanted if key in copy.clips]
    paths = paths or list(copy.clips.values())
    for path in paths[:: -(-len(paths) // PROBES)]:
        with suppress(OSError):
            if list_frames(path):
                return True
    return False


def _without_parts(path: str) -> str:
    """The folder: of ``clip_224x224/clip_224x224_part_3`` the first."""
    parts: list[str] = []
    for part in path.split('/'):
        part = re.sub(r'[_-]?part[_-]?\d+$', '', part, flags=re.IGNORECASE)
        # The numbered archives of one folder that a cloud drive hands out.
        part = re.sub(r'(-\d{8}T\d{6}Z-\d{3}|-00\d)$', '', part)
        if part and not part.isdecimal() and parts[-1:] != [part]:
            parts.append(part)
    return '/'.join(parts) or '.'


def probe_clip(
    row: SplitRow, path: Optional[str], source: str, numbered: bool
) -> dict:
    """Look a clip up on disk: its data, or under ``wrong`` what is wrong.

    Under ``foreign`` are images whose names tell that they belong elsewhere.
    """
    info = {'label': row.label, 'video_id': row.video_id}
    try:
        if path is None:
            raise ValueError('absent')
        if source == 'videos':
            _check_size(path)
            return {**info, 'filename': path}
        frames = list_frames(path)
        if not frames:
            raise ValueError(f'no image in {path}')
        own, foreign = own_frames(frames, os.path.basename(path), numbered)
        if not own:
            raise ValueError(f'the frames in {path} are of another clip')
        # The size of every frame would cost a request each. An unpacking that
        # ran out of space leaves whole clips of empty files.
        _check_size(os.path.join(path, own[0]))
    except ValueError as error:
        return {'wrong': f'{row.video_id} ({error})'}
    except OSError as error:
        # A link to nothing, a folder that may not be read or has gone.
        reason = error.strerror or type(error).__name__
        return {'wrong': f'{row.video_id} (cannot read {path}: {reason})'}
    info.update(frame_dir=path, frames=own, total_frames=len(own))
    return {**info, 'foreign': foreign}


def own_frames(
    names: Sequence[str], clip: str = '', numbered: bool = False
) -> tuple[list[str], list[str]]:
    """Part the frames of a clip from images that belong elsewhere.

    The frames of a clip are named alike, but for their numbers and suffix:
    ``12_1.jpg``, ``12_2.jpg`` or ``1.jpg``, ``2.png``. Of several ways of
    naming the one that begins with the clip's own name is the clip's, then
    one with numbers that half of the images have. The same name with two
    suffixes is one frame. With ``numbered``, ``12_1.jpg`` can only be of clip
    12.
    """
    stems = {name: os.path.splitext(name)[0].lower() for name in names}
    suffixes = {name: os.path.splitext(name)[1].lower() for name in names}
    shape, own_name = _shape(clip), _unpadded(clip)
    fronts = {
        name: _unpadded(re.sub(r'[_-]\d+$', '', stem))
        for name, stem in stems.items()
        if _shape(stem) in (f'{shape}_#', f'{shape}-#')
    }
    if not numbered and own_name not in fronts.values():
        fronts = {}
    ways: dict[str, tuple] = {}
    for name, stem in stems.items():
        way = _shape(stem)
        ways[name] = fronts.get(name), way if '#' in way else ''
    counts = Counter(ways.values())
    fitting = [way for way in counts if way[0] in (None, own_name)]
    if not fitting:
        return [], list(names)

    def rank(way: tuple) -> tuple:
        own = numbered and way[0] is not None
        return own, way[1] != '', counts[way]

    best = max(fitting, key=rank)  # the first of equals
    if best[0] is None and 2 * counts[best] < len(names):
        return list(names), []  # names of no system
    usual = Counter(suffixes[n] for n in names if ways[n] == best)
    own: dict[str, str] = {}
    for name in sorted(names, key=lambda name: usual[suffixes[name]]):
        if ways[name] == best:
            own[stems[name]] = name  # that of the usual suffix is the last
    kept = _one_padding(set(own.values()), stems)
    return (
        [name for name in names if name in kept],
        [name for name in names if name not in kept],
    )


def _shape(name: str) -> str:
    return re.sub(r'\d+', '#', name.lower())


def _unpadded(name: str) -> str:
    return re.sub(r'\d+', lambda digits: str(int(digits[0])), name.lower())


def _one_padding(names: set[str], stems: dict[str, str]) -> set[str]:
    """Without the fewer ones where 1.jpg and 00001.jpg are both there."""
    runs = {name: re.findall(r'\d+', stems[name]) for name in names}
    numbers = {tuple(map(int, found)) for found in runs.values()}
    if len(numbers) == len(names) or not all(runs.values()):
        return names
    widths = {len(run[-1]) for run in runs.values() if run[-1][0] == '0'}
    padded = {name for name in names if len(runs[name][-1]) in widths}
    return max(padded, names - padded, key=len)


def _check_size(path: str) -> None:
    if not os.path.getsize(path):
        raise ValueError(f'empty file {path}')


def find_folders(root: str, name: str, depth: int = 2) -> Iterator[str]:
    """Folders whose names begin so, the exact and shallow ones first."""
    found = []
    for folder in walk(root, depth):
        for entry in folder.folders:
            if entry.name.lower().startswith(name.lower()):
                more = len(entry.name) > len(name)
                found.append((more, folder.depth, entry.path))
        folder.folders[:] = [
            e for e in folder.folders if not e.name.isdecimal()
        ]
    yield from (path for *_, path in sorted(found, key=lambda it: it[:2]))
