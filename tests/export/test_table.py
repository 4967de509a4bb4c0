"""The table in docs/export.md says what happens."""

import pytest

import micacl_mm  # noqa: F401  before MMAction2

from .table import FORMATS, ROWS, measure, rows_in_docs

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

#: One of each kind: 3-D convolutions, tokens, single frames.
SOME = ('SlowOnly', 'VideoMAE (ViT)', 'ViT of timm')


def test_every_backbone_has_a_row():
    assert list(rows_in_docs()) == [family.name for family in ROWS]


def test_no_difference_is_above_the_allowed():
    for name, cells in rows_in_docs().items():
        assert len(cells) == len(FORMATS), name
        for cell in cells:
            word, _, number = cell.partition(', ')
            assert word == 'yes' or cell.startswith('no: '), name
            assert word != 'yes' or float(number) <= 1e-4, name


@pytest.mark.slow
@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize('name', SOME)
def test_some_rows_again(name, kind):
    (family,) = (family for family in ROWS if family.name == name)
    for package in family.needs:
        pytest.importorskip(package)
    # An ExportError would mean no.
    measure(family, kind)
    cells = dict(zip(FORMATS, rows_in_docs()[name], strict=True))
    assert cells[kind].startswith('yes')


@pytest.mark.slow
def test_a_head_of_another_form_behind_micacl():
    (family,) = (family for family in ROWS if family.name == 'TimeSformer')
    assert measure(family, 'ONNX', 'GEIIM + WIAN + MCCL') <= 1e-4
