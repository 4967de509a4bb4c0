"""The files of the clips: empty, twice, damaged, odd."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from ..case import Case, kind
from ..clip_files import ClipFiles
from ..decoding import decode_clips
from ..finding import Finding, failed, number, passed, skipped, some, warned
from ..registry import check

_AGAIN = 'unpack these clips again'


@check('empty files', 'data')
def empty_files(case: Case) -> Iterator[Finding]:
    """No file of a clip has zero bytes."""
    if not case.clips:
        yield skipped('no clips on disk')
        return
    empty = [
        _short(path)
        for clip in case.clips
        for path, size in clip.files()
        if not size
    ]
    if empty:
        yield failed(
            f'{number(len(empty), "file")} of zero bytes: {some(empty)}',
            f'{_AGAIN}, or delete the files',
        )
    else:
        count = sum(len(clip.sizes) for clip in case.clips)
        yield passed(f'none of {count} in {len(case.clips)} clips')


@check('duplicates', 'data')
def duplicates(case: Case) -> Iterator[Finding]:
    """No two clips have the same content."""
    if not case.clips:
        yield skipped('no clips on disk')
        return
    leaks, copies = [], []
    for group in _equal(case.clips):
        names = some([clip.video_id for clip in group]).replace(', ', ' = ')
        torn = len({clip.label for clip in group}) > 1
        text = f'{names} (of different classes)' if torn else names
        (leaks if _straddles(case, group) else copies).append(text)
    if leaks:
        yield failed(
            f'the same content on two sides of a split: {some(leaks)}',
            'find out which name is right, and unpack the other clip again',
        )
    if copies:
        yield warned(
            f'the same content twice: {some(copies)}',
            'find out which name is right, and unpack the other clip again',
        )
    if not leaks and not copies:
        yield passed(f'none among {len(case.clips)} clips')


def _equal(clips: Sequence[ClipFiles]) -> Iterator[list[ClipFiles]]:
    """Clips of the same bytes; only those of equal sizes are read."""
    by_size = defaultdict(list)
    for clip in clips:
        by_size[clip.sizes].append(clip)
    for alike in by_size.values():
        if len(alike) > 1 and any(alike[0].sizes):
            by_bytes = defaultdict(list)
            for clip in alike:
                by_bytes[_digest(clip)].append(clip)
            yield from (g for g in by_bytes.values() if len(g) > 1)


def _digest(clip: ClipFiles) -> bytes:
    digest = hashlib.sha256()
    for path, _ in clip.files():
        with open(path, 'rb') as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.digest()


def _straddles(case: Case, group: Sequence[ClipFiles]) -> bool:
    """Whether one is trained on and another one tested, in any fold."""
    if len({clip.loader for clip in group}) > 1:
        return True
    names = {clip.video_id for clip in group}
    for (_, split), rows in case.rows.items():
        inside = names & {row.video_id for row in rows}
        if split == 'test' and inside and inside != names:
            return True
    return False


@check('decode', 'data')
def decode(case: Case) -> Iterator[Finding]:
    """Every frame can be decoded to its end."""
    how, clips = case.options.decode, case.clips
    if not clips or how == 'none':
        why = 'not asked for' if clips else 'no clips on disk'
        yield skipped(why)
        return
    if how == 'sample':
        # Evenly spread, and the same ones each time.
        count = min(case.options.sample, len(clips))
        clips = [clips[i * len(clips) // count] for i in range(count)]
    case.reports = decode_clips(clips, case.options.workers, _state(case))
    damaged = [
        f'{_clip_name(report.path)}: {text}'
        for report in case.reports
        for text in report.damaged
    ]
    listed = len(case.clips) + len(case.absent)
    of = f'{len(clips)} of {listed} clips'
    if damaged:
        yield failed(
            f'{number(len(damaged), "file")} damaged in {of}: {some(damaged)}',
            _AGAIN,
        )
    else:
        more = '' if how == 'all' else ' (--decode all looks at every one)'
        yield passed(f'{of}, every frame{more}')


def _state(case: Case) -> Optional[Path]:
    """Where notes go: a long work has some, a short one if asked for."""
    if case.options.state:
        return Path(case.options.state)
    whole = case.options.decode == 'all'
    return case.work_dir / 'doctor_decode.jsonl' if whole else None


@check('frame sizes', 'data')
def frame_sizes(case: Case) -> Iterator[Finding]:
    """All frames of a clip have one size."""
    if case.reports is None:
        yield skipped('no clip was decoded')
        return
    odd = {r.path: r.odd for r in case.reports if r.odd}
    listed = [f'{_clip_name(p)}: {names[0]}' for p, names in odd.items()]
    text = f'{number(len(odd), "clip")} with frames of another size'
    again = f'{_AGAIN}, or crop their faces anew (micacl crop-faces)'
    policy = _policy(case)
    if odd and policy == 'raise':
        yield failed(
            f'{text}, at which SafeDataHook stops a training: {some(listed)}',
            f"{again}, or set bad_data='resample' in SafeDataHook",
        )
    elif odd and policy:
        yield warned(
            f'{text}, which SafeDataHook passes over: {some(listed)}', again
        )
    elif odd:
        yield warned(
            f'{text}, while transforms take that of the first for all: '
            f'{some(listed)}',
            again,
        )
    else:
        yield passed('one in each clip')


def _policy(case: Case) -> str:
    """What a training does at bad files, '' if no hook looks at them."""
    hooks = case.config.get('custom_hooks') or []
    told = [
        hook.get('bad_data', 'raise')
        for hook in hooks
        if isinstance(hook, dict) and kind(hook) == 'SafeDataHook'
    ]
    return told[0] if told else ''


@check('frame colours', 'data')
def frame_colours(case: Case) -> Iterator[Finding]:
    """Frames are RGB."""
    if case.reports is None:
        yield skipped('no clip was decoded')
        return
    kinds: Counter = Counter()
    where = {}
    for report in case.reports:
        kinds.update(report.colours)
        for colour in report.colours:
            where.setdefault(colour, _clip_name(report.path))
    named = dict(L='greyscale')
    listed = [
        number(count, f'{named.get(colour, colour)} frame')
        + f' (first in {where[colour]})'
        for colour, count in kinds.items()
    ]
    if listed:
        yield warned(
            f'{some(listed)}: decoders turn them into RGB, whose colours '
            'then differ from the others',
            'save them as RGB JPEGs, or mind them in what you conclude',
        )
    else:
        yield passed('RGB')


def _clip_name(path: str) -> str:
    return os.path.basename(path)


def _short(path: str) -> str:
    """The last two parts of a path."""
    return '/'.join(path.split(os.sep)[-2:])
