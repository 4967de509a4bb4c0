"""Which backbones export: measured here, written into docs/export.md.

``python -m tests.export.table`` measures the rows that docs/export.md lacks,
or the named ones again; the tests measure some of them and compare.
"""

import sys
import tempfile
from pathlib import Path

import torch

from micacl_mm.export import ExportError, export_onnx, export_program
from micacl_mm.export.checks import draw_frames

from ..mixing.families import FAMILIES, Family
from ..mixing.test_matrix import build, videos
from .helpers import spread_scores, stir

DOCS = Path(__file__).parents[2] / 'docs' / 'export.md'
MARKS = ('<!-- exports: begin -->\n', '<!-- exports: end -->')
#: The necks are tested for themselves: here each model has its own head.
COLUMN = 'MCCL'
FORMATS = {'ONNX': export_onnx, 'torch.export': export_program}
#: TIN's operator is one of the full mmcv, which is not among the tests' needs.
ROWS = [family for family in FAMILIES if family.name != 'TIN']


def measure(family: Family, kind: str, column: str = COLUMN) -> float:
    """Largest difference of a score; an ExportError where there is none."""
    torch.manual_seed(0)
    model = stir(build(family, column))
    shape = tuple(videos(family, column).shape[1:])
    pixels = family.shape[0] == 3 and family.recognizer != 'RecognizerGCN'
    dtype = torch.uint8 if pixels else torch.float32
    spread_scores(model, draw_frames(3, shape, dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'model'
        done = FORMATS[kind](model, path, shape, dtype=dtype)
        assert [*Path(folder).iterdir()] == [path]
    return done.max_difference


def rows_in_docs() -> dict[str, list[str]]:
    """The table as it stands: cells by backbone."""
    text = DOCS.read_text(encoding='utf-8')
    lines = text.split(MARKS[0])[1].split(MARKS[1])[0].splitlines()
    cells = [line.strip('| ').split(' | ') for line in lines]
    return {name: row for name, *row in cells[2:]}


def write_rows(rows: dict[str, list[str]]) -> None:
    """Put the table into the page."""
    lines = [['backbone', *FORMATS], ['---', *[':-:'] * len(FORMATS)]]
    order = [family.name for family in ROWS if family.name in rows]
    lines += [[name, *rows[name]] for name in order]
    table = ''.join(f'| {" | ".join(line)} |\n' for line in lines)
    before, rest = DOCS.read_text(encoding='utf-8').split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    text = before + MARKS[0] + table + MARKS[1] + after
    DOCS.write_text(text, encoding='utf-8')


def cell(family: Family, kind: str) -> str:
    """``'yes'`` with the largest difference of a score, or ``'no'``."""
    try:
        return f'yes, {measure(family, kind):.0e}'
    except ExportError as error:
        return f'no: {error}'.replace('|', '/')


def main() -> None:
    """Write the table, row by row."""
    names = sys.argv[1:]
    for family in ROWS:
        rows = rows_in_docs()
        if family.name in names or (not names and family.name not in rows):
            cells = [cell(family, kind) for kind in FORMATS]
            print(family.name, *cells, sep=' | ', flush=True)
            write_rows({**rows_in_docs(), family.name: cells})


if __name__ == '__main__':
    main()
