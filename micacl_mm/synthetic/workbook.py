"""Writes the smallest workbook that spreadsheet readers accept."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

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


def write_workbook(path: Path, rows: Iterable[Sequence[int | str]]) -> None:
    """Write one sheet of at most 26 columns.

    Args:
        path (Path): File to write; equal rows give equal bytes.
        rows (Iterable[Sequence[int | str]]): Cells row by row.
    """
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
