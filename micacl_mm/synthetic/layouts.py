"""Folders, split files and annotation of the two real sets."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from micacl_mm.utils.files import replacing, write_text

from .action_units import EMOTIONS
from .clip import ClipSpec
from .plan import SCENES, Plan

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
