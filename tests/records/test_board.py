"""The board of a few rows, worked out by hand."""

from math import sqrt

import pytest

from micacl_mm.records.board import build_board, head_to_tail
from micacl_mm.records.rows import BENCHMARK_COUNTS
from tools.dev.board import markdown
from tools.dev.board.markdown import (
    SHORT,
    board_markdown,
    escape,
    readme_markdown,
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


def names(table):
    return [entry.text('method') for entry in table.entries]


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
    assert entry.replicates == '3 seeds'
    assert entry.best and entry.comparable and not entry.notes
    assert '**55.00 ± 12.42**' in board_markdown([table], [])


def test_overlapping_intervals_are_ties():
    rows = [
        *of('low', 4, 4, 5),  # 21.67 ± 7.17
        *of('first', 15, 15, 16),  # 76.67 ± 7.17
        *of('tied', 13, 13, 14),  # 66.67 ± 7.17: 73.84 reaches 69.50
        *of('below', 12, 12, 12),  # 60 ± 0
    ]
    (table,) = board_of(*rows)
    assert names(table) == ['first', 'tied', 'below', 'low']
    assert [entry.best for entry in table.entries] == [
        True,
        True,
        False,
        False,
    ]


def test_what_cannot_be_compared_is_never_best():
    rows = [
        *of('one run', 20),
        *of('dropped', 19, 19, 19),
        *of('two', 18, 18),  # their interval would reach them all
        *of('a', 10, 11, 10),
        *of('on test', 18, 18, 18, selection='test', val_ratio='0'),
        *of('more data', 17, 17, 17, pretraining='Kinetics-400'),
    ]
    rows[1] |= cells(19, [20] * 6 + [19], seed='0', method='dropped')
    rows[1]['config_hash'] = 'hash of dropped'
    (table,) = board_of(*rows)
    found = {entry.text('method'): entry for entry in table.entries}
    assert names(table)[0] == 'one run'
    for name in ('one run', 'dropped', 'two'):
        assert not found[name].best
    # The field's habit and more data are compared with their like only.
    for name in ('a', 'on test', 'more data'):
        assert found[name].best
    assert found['one run'].metrics['UAR'].half_width is None
    assert found['one run'].notes == found['two'].notes == ['not ranked']
    assert found['dropped'].notes[0].startswith('1 of 3 runs not on exactly')
    text = board_markdown([table], [])
    assert '| one run | none | 100.00 | 100.00 |' in text
    assert "best on TEST split (the field's habit)" in text


def test_one_training_under_several_seeds_counts_once():
    matrix = cells(15)['confusion_matrix']
    rows = of('copied', 15, 15, 15) + of('honest', 10, 10, 11)
    for row in rows[:3]:
        row['confusion_matrix'] = matrix
    (table,) = board_of(*rows)
    copied, honest = table.entries
    assert copied.replicates == '1 seed' and not copied.best
    assert copied.metrics['UAR'].half_width is None
    assert copied.notes == [
        '2 runs with the result of another seed, counted once',
        'not ranked',
    ]
    assert honest.best and honest.replicates == '3 seeds'


def test_other_frames_are_noted():
    rows = of('a', 10, 11, 12)
    rows[1]['frames'] = 'differ'
    (table,) = board_of(*rows)
    assert table.entries[0].notes[0] == ('frames differ from the reference')


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
    (table,) = board_of(*dfew('five', '12345', seeds=2))
    (entry,) = table.entries
    # Of each fold the mean of its two seeds, hit 9.5 + fold, on Disgust 29.
    recalls = [100 * (9.5 + fold) / 29 for fold in range(1, 6)]
    found = entry.metrics['recall_Disgust']
    assert found.count == 5
    assert found.mean == pytest.approx(sum(recalls) / 5, abs=0.01)
    std = sqrt(2.5) * 100 / 29
    assert found.half_width == pytest.approx(T4 * std / sqrt(5), abs=0.01)
    assert entry.replicates == '5 folds x 2 seeds'
    assert entry.comparable


def test_missing_folds_are_marked():
    rows = dfew('three', '135') + dfew('one', '2', seeds=3)
    rows += dfew('all', '12345')
    rows += dfew('uneven', '1234', 2) + dfew('uneven', '5')
    (table,) = board_of(*rows)
    found = {entry.text('method'): entry for entry in table.entries}
    assert found['three'].replicates == '3 of 5 folds'
    assert found['one'].replicates == '1 of 5 folds x 3 seeds'
    assert found['all'].replicates == '5 folds'
    assert found['uneven'].replicates == '5 folds, 9 runs'
    best = {name for name, entry in found.items() if entry.comparable}
    assert best == {'all', 'uneven'}
    assert '3 of 5 folds; not ranked' in board_markdown([table], [])


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
    names = ['16 frames, no chance; hash of a', 'another; hash of a']
    names.append('16 frames, no chance; other')
    for name in names:
        assert f'| a ({name}) |' in text
    # The column of the rule tells this one apart already.
    assert '| a |' in text and '| b |' in text


def test_entries_that_may_not_be_compared():
    rows = [
        *of('sure', 10, 10, 11),
        *of('drawn', 10, 10, 11, sampling='10 crops, chance in Flip'),
        *of('own', 10, 10, 11, commit='abcdef1-dirty'),
        *of('lost', 10, 10, 11, commit=''),
        *of('mixed', 10, 10, 11, commit='abcdef1, no commit'),
        *of('longer', 8, 8, 9, max_epochs='150'),
    ]
    (table,) = board_of(*rows)
    found = {entry.text('method'): entry for entry in table.entries}
    assert {name for name in found if found[name].best} == {'sure', 'longer'}
    assert found['drawn'].notes == ['random test sampling', 'not ranked']
    for name in ('own', 'lost', 'mixed'):
        assert '3 of 3 runs from uncommitted code' in (found[name].notes)
    assert found['sure'].notes == []


def test_clips_of_each_class_are_looked_at():
    """The official number of clips, but of other classes."""
    right = dict(dataset='synthetic-v1-medium')
    totals = [169, 131, 184, 150, 101, 80, 80]
    other = [170, 130, 184, 150, 101, 80, 80]
    hits = [50] * 7
    rows = [
        cells(hits, total, seed=str(seed), method=name, **right)
        for name, total in (('all', totals), ('other', other))
        for seed in range(3)
    ]
    (table,) = board_of(*rows)
    found = {entry.text('method'): entry for entry in table.entries}
    assert found['all'].comparable and not found['other'].comparable
    assert found['other'].odd_runs == 3


def test_tables_and_their_order():
    rows = rows_of(
        *of('a', 1, dataset='synthetic', subset='all'),
        *of('a', 1, dataset='synthetic-v2-hard'),
        *of('a', 1, dataset='synthetic-v2-easy'),
        *of('a', 1),
        *of('a', 1, dataset='ferv39k', fold='', subset='all'),
        *of('a', 1, dataset='ferv39k', fold='', subset='Crime'),
        *dfew('a', '1'),
    )
    rows += rows_of(*of('b', 1), group='ablation_scales')
    assert [table.title for table in build_board(rows)] == [
        'DFEW',
        'FERV39k',
        'FERV39k, Crime',
        'Synthetic v2, easy',
        'Synthetic v2, medium',
        'Synthetic v2, hard',
        'Other drawn sets, no two the same',
        'Synthetic v2, medium: ablation',
    ]


def test_other_drawn_sets_are_not_ranked():
    rows = of('a', 1, 2, dataset='synthetic') + of(
        'b', 1, 2, dataset='synthetic', fold='2'
    )
    (table,) = board_of(*rows)
    assert [entry.notes for entry in table.entries] == [['not ranked']] * 2


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


def test_clips_that_all_rows_of_the_benchmark_lack_are_seen():
    counts = BENCHMARK_COUNTS['v1']
    found = {}
    for name, totals in (('all', counts), ('lacks', [*counts[:6], 79])):
        rows = [
            cells([9] * 7, totals, dataset='synthetic-v1-hard', seed=str(seed))
            for seed in range(3)
        ]
        (table,) = board_of(*rows)
        found[name] = table.entries[0]
    assert found['all'].comparable and not found['lacks'].comparable
    assert found['lacks'].odd_runs == 3


def test_no_rows():
    assert build_board([]) == []
    assert board_markdown([], []).startswith('No training has been run')
    assert readme_markdown([]).startswith('No row of the open benchmark')
    other = board_of(*of('a', 1, dataset='synthetic-v1-easy'))
    assert readme_markdown(other).startswith('No row of the open benchmark')


def test_readme_is_short_and_without_ablations(monkeypatch):
    monkeypatch.setattr(markdown, 'README_SET', SETTINGS['dataset'])
    rows = rows_of(
        *(row for i in range(SHORT + 2) for row in of(f'm{i:02}', i, i + 1, i))
    )
    rows += rows_of(*of('part', 20), group='ablation')
    text = readme_markdown(build_board(rows))
    assert text.startswith('Synthetic v2, medium:\n\n| Method | UAR | WAR | ')
    assert '| Disgust (rarest) |' in text
    shown = [line for line in text.splitlines() if line.startswith('| m')]
    assert len(shown) == SHORT and shown[0].startswith('| m16 | **')
    assert '2 more are on the board.' in text and 'part' not in text


def test_markdown_is_escaped(monkeypatch):
    monkeypatch.setattr(markdown, 'README_SET', SETTINGS['dataset'])
    assert escape('a|b <i> *c* `d` [e](f) _g_ &') == (
        r'a\|b &lt;i&gt; \*c\* \`d\` \[e\](f) \_g\_ &amp;'
    )
    tables = board_of(*of('<script>x</script>', 1), *of('p|q', 2))
    for text in (board_markdown(tables, []), readme_markdown(tables)):
        assert '<script>' not in text and '&lt;script&gt;' in text
        assert r'p\|q' in text
