"""Which clips a set has, and its folders, split files and annotation."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from micacl_mm.utils.files import replacing, write_text

from .clip import EMOTIONS, ClipSpec

NUM_GROUPS = 5
CLIPS_PER_IDENTITY = 6
# Share of clips on which no emotion wins the vote; in the real set 29 %.
_UNCLEAR = 0.03

# Class counts of the real sets, in the order of EMOTIONS.
DFEW_COUNTS = (2445, 1894, 2669, 2173, 1469, 145, 902)
FERV39K_TRAIN = (5854, 5523, 7790, 5906, 2502, 1833, 1680)
FERV39K_TEST = (1473, 1393, 1958, 1487, 638, 467, 431)

# Two scenes of each of the four scenarios.
SCENES = (
    *('Argue', 'DailyLife', 'Action', 'Speech'),
    *('Crime', 'Interview', 'History', 'War'),
)


@dataclass(frozen=True)
class Plan:
    """The clips of a set."""

    clips: tuple[ClipSpec, ...]
    #: 'train1', 'test1', .. of DFEW's folds, 'train' and 'test' of FERV39k.
    splits: dict[str, tuple[ClipSpec, ...]]


def proportional_counts(
    total: int, weights: tuple[int, ...], least: int
) -> list[int]:
    """Share a total out by weight, with a least share for each class."""
    share = np.asarray(weights) / sum(weights) * total
    counts = np.maximum(np.floor(share).astype(int), least)
    while counts.sum() != total:
        step = 1 if counts.sum() < total else -1
        # Mend where the share is missed by most, never below the least.
        gap = step * (share - counts)
        if step < 0:
            gap[counts <= least] = -np.inf
        counts[np.argmax(gap)] += step
    return counts.tolist()


def _num_people(num_clips: int) -> int:
    """Persons in each group."""
    return max(2, round(num_clips / NUM_GROUPS / CLIPS_PER_IDENTITY))


def plan_dfew(
    num_clips: int, seed: int, folds: tuple[int, ...], test_per_class: int
) -> Plan:
    """Plan a set in DFEW's layout: five groups, each the test of one fold."""
    rng = np.random.default_rng([seed, 5])
    counts = proportional_counts(num_clips, DFEW_COUNTS, NUM_GROUPS)
    # Each class is dealt over the groups in turn, so that all stay even.
    jobs = [
        ((emotion,), index % NUM_GROUPS)
        for index, emotion in enumerate(np.repeat(EMOTIONS, counts).tolist())
    ]
    for index in range(max(2, round(_UNCLEAR * num_clips))):
        pair = rng.choice(len(EMOTIONS), 2, replace=False)
        names = tuple(EMOTIONS[i] for i in pair)
        jobs.append((names, index % NUM_GROUPS))
    order = rng.permutation(len(jobs))  # an id says nothing of the class
    people = _num_people(num_clips)
    clips: list[ClipSpec] = []
    for clip_id, index in enumerate(order, start=1):
        emotions, group = jobs[index]
        who = group * people + int(rng.integers(people))
        clips.append(
            ClipSpec(clip_id, emotions, who, group, name=f'{clip_id:05d}')
        )
    # Planned for all folds, so that ids do not depend on the folds asked for.
    extras = _top_up(clips, test_per_class, people, rng)
    clips += [extra for extra in extras if extra.group + 1 in folds]
    clips = _renumber(clips, seed)
    labelled = [clip for clip in clips if len(clip.emotions) == 1]
    splits = {}
    for fold in folds:
        splits[f'train{fold}'] = tuple(
            c for c in labelled if c.group != fold - 1 and not c.extra
        )
        splits[f'test{fold}'] = tuple(
            c for c in labelled if c.group == fold - 1
        )
    return Plan(tuple(clips), splits)


def _top_up(
    clips: list[ClipSpec],
    least: int,
    people: int,
    rng: np.random.Generator,
) -> list[ClipSpec]:
    """Extra clips so that each group has the least number of each class."""
    have = Counter((clip.group, clip.emotions) for clip in clips)
    extras = []
    for group in range(NUM_GROUPS):
        for emotion in EMOTIONS:
            for _ in range(least - have[group, (emotion,)]):
                who = group * people + int(rng.integers(people))
                extra = ClipSpec(0, (emotion,), who, group, extra=True)
                extras.append(extra)
    order = rng.permutation(len(extras))
    return [
        replace(extras[index], clip_id=clip_id, name=f'{clip_id:05d}')
        for clip_id, index in enumerate(order, start=len(clips) + 1)
    ]


def _renumber(clips: list[ClipSpec], seed: int) -> list[ClipSpec]:
    """Shuffle the numbers of each group that was topped up."""
    # Extras have the last numbers and are mostly of the rare classes, so that
    # their numbers would tell the class. The pixels depend on clip_id.
    numbered = []
    for group in range(NUM_GROUPS):
        members = [clip for clip in clips if clip.group == group]
        order = np.arange(len(members))
        if any(clip.extra for clip in members):
            order = np.random.default_rng([seed, 8, group]).permutation(order)
        numbered += [
            replace(clip, name=members[index].name)
            for clip, index in zip(members, order, strict=True)
        ]
    return sorted(numbered, key=lambda clip: int(clip.name))


def _ferv39k_jobs(
    num_clips: int, rng: np.random.Generator, test_per_class: int
) -> list[tuple[str, int, bool]]:
    """Emotion, group (0 is tested) and whether it tops up, of each clip."""
    num_real = sum(FERV39K_TRAIN) + sum(FERV39K_TEST)
    least = len(EMOTIONS)
    num_test = max(round(num_clips * sum(FERV39K_TEST) / num_real), least)
    test = proportional_counts(num_test, FERV39K_TEST, 1)
    train = proportional_counts(num_clips - num_test, FERV39K_TRAIN, 1)
    jobs = []
    for group, counts in enumerate((test, train)):
        for emotion, count in zip(EMOTIONS, counts, strict=True):
            jobs += [(emotion, group, False)] * count
    jobs = [jobs[i] for i in rng.permutation(len(jobs))]
    for emotion, have in zip(EMOTIONS, test, strict=True):
        jobs += [(emotion, 0, True)] * (test_per_class - have)
    return jobs


def plan_ferv39k(num_clips: int, seed: int, test_per_class: int) -> Plan:
    """Plan a set in FERV39k's layout: one split, the first group is tested."""
    rng = np.random.default_rng([seed, 6])
    people = _num_people(num_clips)
    taken = Counter()
    clips = []
    jobs = _ferv39k_jobs(num_clips, rng, test_per_class)
    for clip_id, (emotion, group, extra) in enumerate(jobs, start=1):
        # Persons 0 .. people - 1 are tested, four times as many train.
        low, high = (0, people) if group == 0 else (people, 5 * people)
        who = int(rng.integers(low, high))
        folder = f'{SCENES[rng.integers(len(SCENES))]}/{emotion}'
        taken[folder] += 1
        name = f'{folder}/{taken[folder]:04d}'
        clips.append(ClipSpec(clip_id, (emotion,), who, group, extra, name))
    # Shuffled, for the extras were added class by class.
    mixed = [clips[index] for index in rng.permutation(len(clips))]
    splits = {
        name: tuple(c for c in mixed if c.group == group)
        for group, name in enumerate(('test', 'train'))
    }
    return Plan(tuple(clips), splits)


# ---- files

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


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_text(path, ''.join(f'{line}\n' for line in lines))


def _draw_votes(clip: ClipSpec, seed: int) -> list[int]:
    """Ten votes: six or more for a single label, five at most without."""
    rng = np.random.default_rng([seed, 7, clip.clip_id])
    votes = np.zeros(len(EMOTIONS), int)
    first, *other = map(EMOTIONS.index, clip.emotions)
    if other:
        votes[[first, *other]] = 5
    else:
        votes[first] = rng.integers(6, 11)
        others = np.delete(np.arange(len(EMOTIONS)), first)
        for _ in range(10 - votes[first]):
            votes[rng.choice(others)] += 1
    return votes.tolist()


def _write_dfew(root: Path, plan: Plan, seed: int) -> None:
    for split, clips in plan.splits.items():
        part, fold = split[:-1], split[-1]
        lines = ['video_name,label']
        for clip in clips:
            label = EMOTIONS.index(clip.emotions[0]) + 1
            lines.append(f'{int(clip.name)},{label}')
        folder = root / 'EmoLabel_DataSplit' / f'{part}(single-labeled)'
        _write_lines(folder / f'set_{fold}.csv', lines)
    head = [f'{i}{name.lower()}' for i, name in enumerate(EMOTIONS, start=1)]
    rows: list[Sequence[int | str]] = [[*head, 'order', 'annotation']]
    for clip in plan.clips:
        single = len(clip.emotions) == 1
        label = EMOTIONS.index(clip.emotions[0]) + 1 if single else 0
        rows.append([*_draw_votes(clip, seed), int(clip.name), label])
    with replacing(root / 'Annotation/annotation.xlsx') as part:
        _write_workbook(part, rows)


def _write_ferv39k(root: Path, plan: Plan) -> None:
    setups = root / '4_setups'
    for split, clips in plan.splits.items():
        lines = [f'{clip.name} {clip.emotions[0]}' for clip in clips]
        path = setups / 'All_scenes' / f'{split}_All.csv'
        _write_lines(path, lines)
        for scene in SCENES:
            part = [line for line in lines if line.startswith(f'{scene}/')]
            path = setups / '22_scenes' / f'{split}_{scene}.csv'
            if part:  # a small set has not every scene in both splits
                _write_lines(path, part)


def write_annotation(root: Path, layout: str, plan: Plan, seed: int) -> None:
    """Write split files and annotation of a set."""
    if layout == 'dfew':
        _write_dfew(root, plan, seed)
    else:
        _write_ferv39k(root, plan)


# The smallest workbook that spreadsheet readers accept; the benchmark pins
# what is in it.
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE = 'http://schemas.openxmlformats.org'
_MAIN = f'{_OFFICE}/spreadsheetml/2006/main'
_RELS = f'{_OFFICE}/officeDocument/2006/relationships'
_PACKAGE = f'{_OFFICE}/package/2006'
_MIME = 'application/vnd.openxmlformats-officedocument.spreadsheetml'

_PARTS = {
    '[Content_Types].xml': (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Override PartName="/xl/workbook.xml" '
        f'ContentType="{_MIME}.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" '
        f'ContentType="{_MIME}.worksheet+xml"/></Types>'
    ),
    '_rels/.rels': (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELS}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    ),
    'xl/workbook.xml': (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELS}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/>'
        '</sheets></workbook>'
    ),
    'xl/_rels/workbook.xml.rels': (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELS}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}


def _cell(column: int, row: int, value: int | str) -> str:
    name = f'{chr(ord("A") + column)}{row}'
    if isinstance(value, str):
        text = f'<is><t>{escape(value)}</t></is>'
        return f'<c r="{name}" t="inlineStr">{text}</c>'
    return f'<c r="{name}"><v>{value}</v></c>'


def _write_workbook(path: Path, rows: Iterable[Sequence[int | str]]) -> None:
    """Write one sheet of at most 26 columns."""
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = ''.join(_cell(i, number, v) for i, v in enumerate(row))
        lines.append(f'<row r="{number}">{cells}</row>')
    data = ''.join(lines)
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{data}</sheetData>'
    parts = _PARTS | {'xl/worksheets/sheet1.xml': sheet + '</worksheet>'}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            # ZipInfo's default date is fixed; writestr(name) takes the clock.
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, _HEAD + text)
