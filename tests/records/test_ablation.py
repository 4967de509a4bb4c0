"""The tables of docs/ablation.md."""

import pytest

from micacl_mm.records.board import build_board
from tools.dev.board import markdown
from tools.dev.board.markdown import ablation_markdown

from .board_rows import SETTINGS, cells, rows_of


@pytest.fixture(autouse=True)
def _set(monkeypatch):
    monkeypatch.setattr(markdown, 'README_SET', SETTINGS['dataset'])


def of(method, *hits, selection='last'):
    return [
        cells(count, method=method, seed=str(seed), selection=selection)
        for seed, count in enumerate(hits)
    ]


def lines(text):
    return {
        cells[0].replace('\\', ''): cells[1:]
        for line in text.splitlines()
        if len(cells := line.strip('| ').split(' | ')) == 7
    }


def test_no_rows():
    assert ablation_markdown([]).startswith('No training has been run')
    other = build_board(rows_of(*of('wian', 1, 2, 3)))  # no reference
    assert ablation_markdown(other).startswith('No training has been run')


def test_differences_by_hand():
    rows = of('r3d18_mil', 9, 10, 11) + of('wian', 10, 11, 12)
    rows += of('micacl', 17, 18, 19) + of('micacl', 1, 1, selection='val')
    text = ablation_markdown(build_board(rows_of(*rows)))
    parts = lines(text.split('### ')[1])
    assert list(parts)[2:] == ['r3d18_mil', 'micacl', 'wian']
    assert parts['r3d18_mil'][:2] == ['50.00 ± 12.42', '']
    # 5 points of standard deviation each; t(0.975, 4) = 2.7764.
    width = 2.7764 * 5 * (2 / 3) ** 0.5
    assert parts['wian'][1] == f'+5.00 ± {width:.2f}'
    assert parts['micacl'][1] == f'**+40.00 ± {width:.2f}**'
    assert parts['micacl'][2:] == ['90.00 ± 12.42'] * 3 + ['3 seeds']


def test_what_is_not_ranked_has_no_difference():
    rows = of('r3d18_mil', 9, 10, 11) + of('wian', 17)
    text = ablation_markdown(build_board(rows_of(*rows)))
    assert lines(text)['wian'][1] == '-'
    assert lines(text)['wian'][-1] == '1 seed; not ranked'
    # Two entries of the reference: which one?
    for row in of('r3d18_mil', 1, 2, 3):
        rows.append({**row, 'config_hash': 'f' * 10})
    text = ablation_markdown(build_board(rows_of(*rows)))
    assert 'wian' not in lines(text)


def test_ablations_of_the_loss_stand_beside_micacl():
    rows = rows_of(*of('micacl', 17, 18, 19))
    rows += rows_of(*of('scales_1', 16, 18, 20), group='ablation_mccl')
    text = ablation_markdown(build_board(rows))
    assert [*lines(text)][2:] == ['micacl', 'scales_1']
    assert lines(text)['scales_1'][1].startswith('+0.00 ± ')
