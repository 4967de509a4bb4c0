"""The board of a few rows, worked out by hand, and the pages of it."""

from math import sqrt

import pytest
from sklearn.metrics import f1_score

from micacl_mm.records.board import build_board, head_to_tail
from micacl_mm.records.rows import BENCHMARK_COUNTS
from tools.dev import board
from tools.dev.board import (
    ablation_markdown,
    board_markdown,
    escape,
)

from .board_rows import SETTINGS, cells, rows_of

DFEW = {
    '1': [489, 379, 534, 435, 294, 29, 181],
    '2': [489, 379, 534, 435, 294, 29, 181],
    '3': [489, 379, 534, 435, 294, 29, 180],
    '4': [489, 379, 534, 434, 294, 29, 180],
    '5': [489, 378, 533, 434, 293, 29, 180],
}
T2, T4 = 4.3027, 2.7764  # Student's t, 97.5 %, 2 and 4 degrees of freedom


@pytest.fixture(autouse=True)
def _set(monkeypatch):
    monkeypatch.setattr(board, 'README_SET', SETTINGS['dataset'])


def of(method, *hits, config_hash='', **changes):
    """Rows of one entry, a seed each; ``hits`` of 20 clips a class."""
    return [
        cells(
            hit,
            method=method,
            seed=str(seed),
            config_hash=config_hash or f'hash of {method}',
            **changes,
        )
        for seed, hit in enumerate(hits)
    ]


def board_of(*rows, group='synthetic'):
    return build_board(rows_of(*rows, group=group))


def entries_of(*rows):
    (table,) = board_of(*rows)
    return {entry.text('method'): entry for entry in table.entries}


def test_three_seeds_by_hand():
    # UAR 50, 55, 60: mean 55, std 5, half width t * 5 / sqrt(3).
    (table,) = board_of(*of('a', 10, 11, 12))
    (entry,) = table.entries
    assert table.title == 'Synthetic v2, medium'
    for name in ('UAR', 'WAR', 'recall_Fear'):
        found = entry.metrics[name]
        assert found.mean == pytest.approx(55)
        assert found.std == pytest.approx(5)
        assert found.half_width == pytest.approx(T2 * 5 / sqrt(3), rel=1e-4)
    assert entry.runs == '3 seeds' and entry.best and entry.comparable
    assert '**55.00 ± 12.42**' in board_markdown([table], [])


def test_f1_is_scikit_learns():
    hits, totals = [9, 4, 6, 3, 5, 0, 7], [10, 8, 9, 7, 9, 2, 8]
    (entry,) = entries_of(cells(hits, totals)).values()
    pairs = [
        (k, k if i < hits[k] else (k + 1) % 7)
        for k in range(7)
        for i in range(totals[k])
    ]
    expected = 100 * f1_score(*zip(*pairs, strict=True), average='macro')
    assert entry.metrics['F1'].mean == pytest.approx(expected)


def test_overlapping_intervals_are_ties():
    found = entries_of(
        *of('low', 4, 4, 5),  # 21.67 ± 7.17
        *of('first', 15, 15, 16),  # 76.67 ± 7.17
        *of('tied', 13, 13, 14),  # 66.67 ± 7.17: 73.84 reaches 69.50
        *of('below', 12, 12, 12),  # 60 ± 0
    )
    assert {name: entry.best for name, entry in found.items()} == dict(
        first=True, tied=True, below=False, low=False
    )
    assert [*found] == ['first', 'tied', 'below', 'low']


def test_what_cannot_be_compared_is_never_best():
    dropped = of('dropped', 19, 19, 19)
    dropped[0] |= cells(19, [20] * 6 + [19], seed='0', method='dropped')
    dropped[0]['config_hash'] = 'hash of dropped'
    found = entries_of(
        *of('one run', 20),
        *dropped,
        *of('two', 18, 18),  # their interval would reach them all
        *of('a', 10, 11, 10),
        *of('drawn', 19, 19, 19, sampling='10 crops, chance in Flip'),
        *of('own', 19, 19, 19, commit='abcdef1-dirty'),
        *of('lost', 19, 19, 19, commit=''),
        *of('mixed', 19, 19, 19, commit='abcdef1, no commit'),
        *of('frames', 10, 11, 10, frames='differ'),
        # These are compared with their like only.
        *of('on test', 18, 18, 18, selection='test', val_ratio='0'),
        *of('more data', 17, 17, 17, pretraining='Kinetics-400'),
        *of('longer', 8, 8, 9, max_epochs='150'),
    )
    best = {name for name, entry in found.items() if entry.best}
    assert best == {'a', 'frames', 'on test', 'more data', 'longer'}
    runs = {name: entry.runs for name, entry in found.items()}
    assert runs['one run'] == '1 seed; not ranked'
    assert runs['two'] == '2 seeds; not ranked'
    assert '1 of 3 runs not on exactly the official' in runs['dropped']
    assert 'random test sampling; not ranked' in runs['drawn']
    for name in ('own', 'lost', 'mixed'):
        assert '3 of 3 runs from uncommitted code' in runs[name]
    assert 'frames differ from the reference' in runs['frames']
    text = board_markdown(board_of(*of('one run', 20)), [])
    assert '| one run | none | 100.00 | 100.00 | 100.00 |' in text


@pytest.mark.parametrize('copies', [2, 3, 5])
@pytest.mark.parametrize('blanks', [False, True])
def test_one_training_under_several_seeds_counts_once(copies, blanks):
    """However its matrix is written, and beside honest seeds."""
    matrix = cells(15)['confusion_matrix']
    rows = of('copied', *[15] * copies) + of('honest', 10, 10, 11)
    for number, row in enumerate(rows[:copies]):
        spaced = blanks and number % 2
        row['confusion_matrix'] = (
            matrix.replace(',', ', ') if spaced else matrix
        )
    rows += of('both', 12, 13, 14, 15)
    rows[-1]['confusion_matrix'] = rows[-2]['confusion_matrix']
    rows[-1] |= {k: v for k, v in rows[-2].items() if k != 'seed'}
    found = entries_of(*rows)
    copied = found['copied']
    assert not copied.best and copied.uar.half_width is None
    words = f'{copies - 1} run{"s" * (copies > 2)} with the result of another'
    assert copied.runs.startswith(f'1 seed; {words}, counted once')
    assert found['both'].runs.startswith('3 seeds; 1 run with the result')
    assert found['both'].uar.count == 3
    assert found['honest'].runs == '3 seeds'


def test_seeds_that_predict_a_single_class_all_count():
    rows = of('collapsed', *[[20, 0, 0, 0, 0, 0, 0]] * 3)
    for row in rows:
        row['confusion_matrix'] = str([[20, 0, 0, 0, 0, 0, 0]] * 7)
    (entry,) = entries_of(*rows).values()
    assert entry.runs == '3 seeds' and entry.uar.count == 3


def test_runs_of_one_seed_by_several_commits_are_averaged():
    """Not the best of them, nor the last."""
    rows = of('a', 10, 12, 14)
    for hit in (16, 10):
        rows += of('a', hit, commit=f'abcde{hit}')
    for given in (rows, rows[::-1]):
        (entry,) = entries_of(*given).values()
        # Seed 0: 50, 80 and 50 again, which counts once.
        values = [65, 60, 70]
        assert entry.uar.mean == pytest.approx(sum(values) / 3)
        assert entry.uar.count == 3 and entry.comparable
        assert entry.runs == (
            '3 seeds; 1 run with the result of another, counted once; code '
            'of commits abcde10, abcde16, abcdef1'
        )
    folds = dfew('b', '12345') + [
        {**row, 'commit': 'other'} for row in dfew('b', '1', hit=15)
    ]
    (entry,) = entries_of(*folds).values()
    assert entry.runs == '5 folds; code of commits other, abcdef1'
    assert entry.metrics['recall_Disgust'].mean == pytest.approx(
        (13 + 11 + 12 + 13 + 14) / 5 / 29 * 100, abs=0.01
    )


def test_rows_of_older_settings_stand_apart_and_are_not_ranked():
    old = dict(commit='aaaaaaa', date='2025-09-30', config_hash='old')
    new = dict(commit='bbbbbbb', date='2025-10-01', config_hash='new')
    rows = [
        *of('r3d18_mil', 17, 18, 19, **old),
        *of('r3d18_mil', 9, 10, 11, **new),
        *of('wian', 10, 11, 12),
        # Another protocol, and one that is not ranked with these.
        *of('wian', 10, 11, 12, config_hash='x', max_epochs='99'),
    ]
    for given in (rows, rows[::-1]):
        (table,) = board_of(*given)
        found = {e.text('config_hash'): e for e in table.entries}
        assert [len(entry.rows) for entry in table.entries] == [3] * 4
        assert found['old'].runs == (
            '3 seeds; older settings, of commit aaaaaaa; not ranked'
        )
        assert not found['old'].best
        assert found['new'].runs == '3 seeds' and found['new'].best
        assert found['x'].comparable
        text = board_markdown([table], [])
        assert '| r3d18\\_mil (new) |' in text
        assert '| r3d18\\_mil (old) |' in text
    # Of one day the later row wins.
    (table,) = board_of(*({**row, 'date': ''} for row in rows))
    outdated = [e.text('config_hash') for e in table.entries if e.outdated]
    assert outdated == ['old']
    # Runs that are not committed change nothing for committed ones.
    mine = rows_of(*of('wian', 1, config_hash='mine'), group='')
    (table,) = build_board(rows_of(*rows) + mine)
    outdated = [e.text('config_hash') for e in table.entries if e.outdated]
    assert outdated == ['old']
    rows = of('r3d18_mil', 17, **old) + of('r3d18_mil', 9, 10, 11, **new)
    rows += of('wian', 10, 11, 12, selection='last')
    rows = [{**row, 'selection': 'last'} for row in rows]
    lines = ablation_markdown(board_of(*rows)).splitlines()
    assert sum('| r3d18' in line for line in lines) == 1
    assert any('| wian | 55.00 ± 12.42 | +5.00' in line for line in lines)


def dfew(method, folds, seeds=1, hit=9, **changes):
    return [
        cells(
            [hit + int(fold) + seed] * 7,
            DFEW[fold],
            **dict(dataset='dfew', method=method, fold=fold, seed=str(seed)),
            config_hash=method,
            **changes,
        )
        for fold in folds
        for seed in range(seeds)
    ]


def test_folds_are_the_replicates():
    (entry,) = entries_of(*dfew('five', '12345', seeds=2)).values()
    # Of each fold the mean of its two seeds, hit 9.5 + fold, on Disgust 29.
    recalls = [100 * (9.5 + fold) / 29 for fold in range(1, 6)]
    found = entry.metrics['recall_Disgust']
    assert found.count == 5
    assert found.mean == pytest.approx(sum(recalls) / 5, abs=0.01)
    std = sqrt(2.5) * 100 / 29
    assert found.half_width == pytest.approx(T4 * std / sqrt(5), abs=0.01)


def test_missing_folds_are_marked():
    rows = dfew('three', '135') + dfew('one', '2', seeds=3)
    rows += dfew('all', '12345') + dfew('more', '12345', seeds=2)
    rows += dfew('uneven', '1234', 2) + dfew('uneven', '5')
    runs = {name: entry.runs for name, entry in entries_of(*rows).items()}
    assert runs == dict(
        three='3 of 5 folds; not ranked',
        one='1 of 5 folds x 3 seeds; not ranked',
        all='5 folds',
        more='5 folds x 2 seeds',
        uneven='5 folds, 9 runs',
    )


def test_what_differs_in_protocol_is_another_entry():
    rows = [
        *of('a', 10, 11),
        *of('a', 10, 11, selection='last'),
        *of('a', 10, 11, sampling='another'),
        *of('a', 10, 11, config_hash='other'),
        *of('b', 10, 11, config_hash='hash of a'),
    ]
    (table,) = board_of(*rows)
    assert [len(entry.rows) for entry in table.entries] == [2] * 5
    text = board_markdown([table], [])
    for name in (
        '16 frames, no chance; hash of a',
        'another; hash of a',
        '16 frames, no chance; other',
    ):
        assert f'| a ({name}) |' in text
    # The column of the rule tells this one apart already.
    assert '| a |' in text and '| b |' in text


def test_clips_of_each_class_are_looked_at():
    """The official clips; as many of other classes; one less in all rows."""
    counts = BENCHMARK_COUNTS['v1']
    for totals, right in (
        (counts, True),
        ([counts[0] + 1, counts[1] - 1, *counts[2:]], False),
        ([*counts[:6], counts[6] - 1], False),
    ):
        rows = [
            cells([9] * 7, totals, dataset='synthetic-v1-hard', seed=str(seed))
            for seed in range(3)
        ]
        (entry,) = entries_of(*rows).values()
        assert entry.comparable == right and entry.odd_runs == 3 * (not right)


def test_tables_and_their_order():
    rows = rows_of(
        *of('a', 1, 2, 3, dataset='synthetic', subset='all'),
        *of('a', 1, dataset='synthetic-v2-hard'),
        *of('a', 1, dataset='synthetic-v2-easy'),
        *of('a', 1),
        *of('a', 1, dataset='ferv39k', fold='', subset='all'),
        *of('a', 1, dataset='ferv39k', fold='', subset='Crime'),
        *dfew('a', '1'),
    )
    rows += rows_of(*of('b', 1), group='ablation_scales')
    tables = build_board(rows)
    assert [table.title for table in tables] == [
        'DFEW',
        'FERV39k',
        'FERV39k, Crime',
        'Synthetic v2, easy',
        'Synthetic v2, medium',
        'Synthetic v2, hard',
        'Other drawn sets, no two the same',
        'Synthetic v2, medium: ablation',
    ]
    assert tables[-2].entries[0].runs == '3 seeds; not ranked'


@pytest.mark.parametrize(
    ('dataset', 'order'),
    [
        ('dfew', 'Neutral Happy Angry Sad Surprise Fear Disgust'),
        ('synthetic-v1-easy', 'Neutral Happy Angry Sad Surprise Fear Disgust'),
        ('ferv39k', 'Neutral Angry Happy Sad Surprise Disgust Fear'),
    ],
)
def test_head_to_tail(dataset, order):
    assert ' '.join(head_to_tail(dataset)) == order


def test_markdown_is_escaped():
    assert escape('a|b <i> *c* `d` [e](f) _g_ &') == (
        r'a\|b &lt;i&gt; \*c\* \`d\` \[e\](f) \_g\_ &amp;'
    )
    tables = board_of(*of('<script>x</script>', 1), *of('p|q', 2))
    text = board_markdown(tables, [])
    assert '<script>' not in text and '&lt;script&gt;' in text
    assert r'p\|q' in text


def ablation_lines(*rows):
    """Cells by method of the tables of docs/ablation.md."""
    rows = [
        row._replace(cells={**row.cells, 'selection': 'last'}) for row in rows
    ]
    return {
        line[0].replace('\\', ''): line[1:]
        for text in ablation_markdown(build_board(rows)).splitlines()
        if len(line := text.strip('| ').split(' | ')) == 7
    }


def test_differences_by_hand():
    rows = rows_of(
        *of('r3d18_mil', 9, 10, 11),
        *of('wian', 10, 11, 12),
        *of('geiim_wian_mccl', 17, 18, 19),
        *of('one', 17),
    )
    rows += rows_of(*of('scales_1', 16, 18, 20), group='ablation_mccl')
    found = ablation_lines(*rows)
    assert found['r3d18_mil'][:2] == ['50.00 ± 12.42', '']
    # 5 points of standard deviation each; t(0.975, 4) = 2.7764.
    width = T4 * 5 * sqrt(2 / 3)
    assert found['wian'][1] == f'+5.00 ± {width:.2f}'
    assert found['one'][1] == '-' and found['one'][-1] == '1 seed; not ranked'
    # The second table's reference comes last.
    assert found['scales_1'][1].startswith('+0.00 ± ')
    assert found['geiim_wian_mccl'][1:] == [
        *('', '90.00 ± 12.42', '90.00 ± 12.42', '90.00 ± 12.42', '3 seeds')
    ]
    rows = rows_of(*of('r3d18_mil', 9, 10, 11), *of('both', 17, 18, 19))
    assert ablation_lines(*rows)['both'][1] == f'**+40.00 ± {width:.2f}**'
    # Two entries of the reference that are both of today: which one?
    other = rows_of(*of('r3d18_mil', 1, 2, 3, sampling='16 frames, other'))
    assert 'both' not in ablation_lines(*rows, *other)
