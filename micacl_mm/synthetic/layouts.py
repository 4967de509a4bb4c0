"""Folders, split files and annotation of the two real sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .action_units import EMOTIONS
from .clip import ClipSpec
from .plan import SCENES, Plan
from .set_folder import publish
from .workbook import write_workbook

LAYOUTS = ('dfew', 'ferv39k')


def frame_dir(layout: str, clip: ClipSpec) -> str:
    """Folder of a clip's frames, relative to the root."""
    if layout == 'dfew':
        return f'Clip/clip_224x224/{clip.name}'
    return f'2_ClipsforFaceCrop/{clip.name}'


def frame_name(layout: str, clip: ClipSpec, number: int) -> str:
    """File name of a frame."""
    prefix = f'{clip.name}_' if layout == 'dfew' else ''
    return f'{prefix}{number:05d}.jpg'


def video_path(layout: str, clip: ClipSpec) -> str:
    """Path of a clip's video, relative to the root."""
    if layout == 'dfew':
        return f'Clip/original/{int(clip.name)}.mp4'
    return f'0_7_LabelClips/{clip.name}.mp4'


def _write_lines(path: Path, scratch: Path, lines: Iterable[str]) -> None:
    part = scratch / path.name
    part.write_text(''.join(f'{line}\n' for line in lines), newline='\n')
    publish(part, path)


def _draw_votes(clip: ClipSpec, seed: int) -> list[int]:
    """Ten votes: six or more for a single label, five at most without."""
    rng = np.random.default_rng([seed, 7, clip.clip_id])
    votes = np.zeros(len(EMOTIONS), int)
    first = EMOTIONS.index(clip.emotions[0])
    if len(clip.emotions) == 1:
        votes[first] = rng.integers(6, 11)
        others = [i for i in range(len(EMOTIONS)) if i != first]
        for _ in range(10 - votes[first]):
            votes[rng.choice(others)] += 1
    else:
        votes[first] = 5
        votes[EMOTIONS.index(clip.emotions[1])] = 5
    return votes.tolist()


def _write_dfew(root: Path, scratch: Path, plan: Plan, seed: int) -> None:
    for split, clips in plan.splits.items():
        part, fold = split[:-1], split[-1]
        lines = ['video_name,label']
        for clip in clips:
            label = EMOTIONS.index(clip.emotions[0]) + 1
            lines.append(f'{int(clip.name)},{label}')
        folder = root / 'EmoLabel_DataSplit' / f'{part}(single-labeled)'
        _write_lines(folder / f'set_{fold}.csv', scratch, lines)
    head = [f'{i}{name.lower()}' for i, name in enumerate(EMOTIONS, start=1)]
    rows: list[Sequence[int | str]] = [[*head, 'order', 'annotation']]
    for clip in plan.clips:
        single = len(clip.emotions) == 1
        label = EMOTIONS.index(clip.emotions[0]) + 1 if single else 0
        rows.append([*_draw_votes(clip, seed), int(clip.name), label])
    write_workbook(scratch / 'annotation.xlsx', rows)
    publish(scratch / 'annotation.xlsx', root / 'Annotation/annotation.xlsx')


def _write_ferv39k(root: Path, scratch: Path, plan: Plan) -> None:
    setups = root / '4_setups'
    for split, clips in plan.splits.items():
        lines = [f'{clip.name} {clip.emotions[0]}' for clip in clips]
        path = setups / 'All_scenes' / f'{split}_All.csv'
        _write_lines(path, scratch, lines)
        for scene in SCENES:
            part = [line for line in lines if line.startswith(f'{scene}/')]
            path = setups / '22_scenes' / f'{split}_{scene}.csv'
            if part:  # a small set has not every scene in both splits
                _write_lines(path, scratch, part)


def write_annotation(
    root: Path, scratch: Path, layout: str, plan: Plan, seed: int
) -> None:
    """Write split files and annotation of a set.

    Args:
        root (Path): Root of the set.
        scratch (Path): Folder of this run alone, on the same disk.
        layout (str): ``'dfew'`` or ``'ferv39k'``.
        plan (Plan): Clips and splits.
        seed (int): Seed of the votes.
    """
    if layout == 'dfew':
        _write_dfew(root, scratch, plan, seed)
    else:
        _write_ferv39k(root, scratch, plan)
