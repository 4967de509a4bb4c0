"""Clips and frames that are listed, and not there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from micacl_mm.datasets.base import BaseDFERDataset

from ..case import Case
from ..clip_files import list_clips
from ..finding import Finding, failed, number, passed, some, warned
from ..registry import check


@check('missing clips', 'data')
def missing_clips(case: Case) -> Iterator[Finding]:
    """All clips and frames are there, and no clip is dropped."""
    case.clips, case.absent = list_clips(case.built())
    gone = list(_gone(case))
    yield from gone
    dropped = []
    for name, dataset in case.built():
        if isinstance(dataset, BaseDFERDataset):
            wanted = len(dataset.split_rows())
            if len(dataset) < wanted:
                less = wanted - len(dataset)
                dropped.append(f'{less} of {wanted} of {name}')
    if dropped:
        yield warned(
            f"missing='drop' passes over {', '.join(dropped)}: figures are "
            'of the others',
            'unpack these clips again; the log of a training names them',
        )
    elif not gone:
        yield passed('none')


def _gone(case: Case) -> Iterator[Finding]:
    """What a data set of any library lists, and the disk has not."""
    cure = 'unpack these clips again, or mend annotation and data_prefix'
    if case.absent:
        total = len(case.clips) + len(case.absent)
        yield failed(
            f'{len(case.absent)} of {number(total, "clip")} listed are not '
            f'there: {some(list(case.absent))}',
            cure,
        )
    torn = [clip for clip in case.clips if clip.absent]
    if torn:
        frames = sum(len(clip.absent) for clip in torn)
        named = [os.path.join(clip.path, clip.absent[0]) for clip in torn]
        yield failed(
            f'{number(frames, "frame")} of {number(len(torn), "clip")} not '
            f'there: {some(named)}',
            f'{cure}: frames are counted from start_index',
        )
