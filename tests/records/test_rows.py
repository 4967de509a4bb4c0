"""Reading, checking and writing of result rows."""

import json
from collections import Counter
from pathlib import Path

import pytest

from micacl_mm.records.rows import (
    BENCHMARK_COUNTS,
    CLASSES,
    COLUMNS,
    PUBLISHED,
    add_rows,
    format_rows,
    problems,
    read_folder,
    read_published,
    read_rows,
    write_rows,
)
from micacl_mm.synthetic import benchmark_settings

from .board_rows import cells, rows_of

RESULTS = Path(__file__).parents[2] / 'results'
DFEW_FOLD1 = [489, 379, 534, 435, 294, 29, 181]


def write(path, *rows, header=COLUMNS):
    """A file without any of the checks; cells are quoted by hand."""
    lines = [','.join(header)]
    for row in rows:
        quoted = ('"' + row[name].replace('"', '""') + '"' for name in header)
        lines.append(','.join(quoted))
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return path


def refused(path):
    with pytest.raises(ValueError) as error:
        read_rows(path)
    return str(error.value)


def test_round_trip(tmp_path):
    rows = rows_of(
        cells(),
        cells([1, 2, 3, 4, 5, 0, 7], seed='1', method='comma, "quote" <ü>'),
        cells([5] * 5 + [0, 5], [20] * 5 + [0, 5], seed='2'),  # absent class
        cells(seed='3', processes='', machine='', date='2025-02-28'),
    )
    write_rows(tmp_path / 'synthetic.csv', rows)
    found = read_rows(tmp_path / 'synthetic.csv')
    assert [row.cells for row in found] == [row.cells for row in rows]
    assert [row.group for row in found] == ['synthetic'] * 4
    assert found[2].origin == f'{tmp_path / "synthetic.csv"}:4'
    assert found[2].cells['recall_Disgust'] == ''
    assert [path.name for path in tmp_path.iterdir()] == ['synthetic.csv']


def test_no_rows(tmp_path):
    write_rows(tmp_path / 'empty.csv', [])
    assert (tmp_path / 'empty.csv').read_text() == ','.join(COLUMNS) + '\n'
    assert read_folder(tmp_path) == []


#: What is wrong in a cell, and the sentence about it.
WRONG = [
    (dict(method=''), 'method must not be empty'),
    (dict(UAR=''), 'UAR must not be empty'),
    (dict(sampling=''), 'sampling must not be empty'),
    (dict(clips=''), 'clips must not be empty'),
    (dict(confusion_matrix=''), 'confusion_matrix must not be empty'),
    (dict(seed='1.5'), "seed must be a whole number, got '1.5'"),
    (dict(UAR='0.5'), 'UAR must be a percentage with two decimals'),
    (dict(WAR='100.01'), 'WAR must be a percentage'),
    (dict(recall_Sad='nan'), 'recall_Sad must be a percentage'),
    (dict(gflops='-1'), 'gflops must be a number, 0 or above'),
    (dict(gflops='999999'), 'gflops must be a number, 0 or above, below'),
    (dict(parameters_m='1e9'), 'parameters_m must be a number'),
    (dict(clips='9' * 5000), 'clips must be a whole number'),
    (dict(epoch='10'), 'epoch must be at most max_epochs, got 10 of 9'),
    (dict(date='2999-01-01'), 'not in the future'),
    (dict(date='2025-02-30'), 'date must be a day, not in'),
    (dict(date='20250930'), 'date must be a day such as'),
    (dict(method=' micacl'), 'method must have no blanks around it'),
    (dict(method='a\u202eb'), 'method must be one line of plain text'),
    (dict(dataset='DFEW'), 'dataset must be dfew, ferv39k, mafw, crema'),
    (dict(dataset='synthetic-v1-medium-dev'), 'dataset must be dfew, '),
    (dict(fold='2'), 'fold must be 1 on synthetic-v2'),
    (dict(fold=''), "on synthetic-v2-medium, got ''"),
    (dict(dataset='dfew', fold=''), 'fold must be 1, 2, 3'),
    (dict(dataset='ferv39k'), 'fold must be empty on ferv39k'),
    (dict(dataset='ferv39k', fold=''), 'subset must be all, a scene or'),
    (dict(subset='all'), "and empty for other sets, got 'all'"),
    (dict(selection='best'), 'must be one of val, last, test, other'),
    (dict(val_ratio='0'), 'selection must not be val with a val_ratio'),
    (dict(val_ratio='1'), 'val_ratio must be a share'),
    (dict(UAR='50.02'), 'UAR must be 50.00 by confusion_matrix'),
    (dict(recall_Fear=''), 'recall_Fear must be 50.00 by confusion_mat'),
    (dict(clips='141'), 'clips must be 140 by confusion_matrix'),
    (dict(confusion_matrix='[[1]]'), 'must be 7 lists of 7 counts'),
    (dict(confusion_matrix='[' * 9999), 'must be 7 lists of 7 counts'),
    (dict(confusion_matrix='[[1], [1, 2]]'), 'must be 7 lists of 7'),
    (dict(confusion_matrix=json.dumps([[1.5] * 7] * 7)), 'must be 7 lists'),
    (dict(confusion_matrix=json.dumps([[-1] * 7] * 7)), 'must be 7 lists'),
    (dict(confusion_matrix=json.dumps([[10**40] * 7] * 7)), 'must be 7 list'),
    (dict(confusion_matrix=json.dumps([[0] * 7] * 7)), 'at least one clip'),
    *(
        (dict.fromkeys([column], text), f'{column} must not look like a form')
        for column in ('method', 'machine', 'command', 'config', 'commit')
        for text in ('=1+1', '@x', '+a', '-b')
    ),
    # The last, as it takes two lines of the file.
    (dict(command='a\nb'), 'command must be one line of plain text'),
]


def test_wrong_rows_are_named(tmp_path):
    """All at once, and each by its line."""
    rows = [cells(seed=str(i)) | c for i, (c, _) in enumerate(WRONG, 1)]
    path = write(tmp_path / 'x.csv', cells(), *rows)
    message = refused(path)
    assert f'{path}:2: ' not in message
    assert 'micacl leaderboard' in message  # what to do
    lines = message.splitlines()
    for number, (changes, said) in enumerate(WRONG, start=3):
        found = [line for line in lines if line.startswith(f'{path}:{number}')]
        assert any(said in line for line in found), (changes, found)


def test_a_rounded_last_digit_is_no_error():
    row = cells([1, 0, 0, 0, 0, 0, 0], 3)
    assert row['recall_Happy'] == '33.33' and row['UAR'] == '4.76'
    assert problems(row) == []
    assert problems(row | {'recall_Happy': '33.34'})


def test_another_order_of_classes_is_told(tmp_path):
    row = cells([1, 2, 3, 4, 5, 6, 7])
    names = [f'recall_{name}' for name in CLASSES]
    values = [row[name] for name in names]
    swapped = row | dict(zip(names, [*values[1:], values[0]], strict=True))
    assert 'the order of the classes is Happy, Sad' in problems(swapped)[0]
    header = list(COLUMNS)
    i = header.index('recall_Sad')
    header[i], header[i + 1] = header[i + 1], header[i]
    path = write(tmp_path / 'x.csv', row, header=header)
    assert f'{path}:1: ' in refused(path) and 'order' in refused(path)


def test_official_counts_give_a_wrong_order_away():
    good = cells([9] * 7, DFEW_FOLD1, dataset='dfew')
    assert problems(good) == []
    order = [*DFEW_FOLD1[3:], *DFEW_FOLD1[:3]]
    told = problems(cells([9] * 7, order, dataset='dfew'))
    assert 'another order of classes' in told[0] and 'Happy, Sad' in told[0]
    # Fewer clips are no other order; the board marks them.
    fewer = [*DFEW_FOLD1[:6], 180]
    assert problems(cells([9] * 7, fewer, dataset='dfew')) == []


def test_counts_of_the_benchmark_are_those_of_its_recipe():
    test = benchmark_settings('easy').plan().splits['test1']
    found = Counter(clip.emotions[0] for clip in test)
    assert [found[name] for name in CLASSES] == BENCHMARK_COUNTS['v1']


def test_malformed_files(tmp_path):
    path = tmp_path / 'x.csv'
    good = format_rows([cells()])
    path.write_text('')
    assert f'{path}:1: the columns must be those' in refused(path)
    path.write_text(good.replace('sampling', 'sampled', 1))
    assert 'unlike: sampled, sampling. Fix: write' in refused(path)
    path.write_text(good.replace(',', ';'))
    assert f'{path}:1: ' in refused(path)
    path.write_text(good + 'one,two\n')
    assert f'{path}:3: must have {len(COLUMNS)} cells' in refused(path)
    path.write_text(good + '"never closed\n')
    assert f'{path}: must be a table' in refused(path)
    path.write_bytes(good.encode() + b'\xff\n')
    assert 'UTF-8' in refused(path)
    path.write_text('\ufeff' + good + '\n', encoding='utf-8')  # Excel's mark
    assert len(read_rows(path)) == 1


def test_a_run_stands_once(tmp_path):
    write(tmp_path / 'a.csv', cells(), cells(seed='1'))
    write(tmp_path / 'b.csv', cells(seed='2'), cells(seed='1', epoch='4'))
    with pytest.raises(ValueError) as error:
        read_folder(tmp_path)
    assert str(error.value).startswith(f'{tmp_path / "b.csv"}:3: the same run')
    assert f'{tmp_path / "a.csv"}:3' in str(error.value)


def test_wrong_rows_are_not_written(tmp_path, monkeypatch):
    path = tmp_path / 'x.csv'
    write_rows(path, rows_of(cells()))
    before = path.read_text()
    with pytest.raises(ValueError, match='x.csv:3: WAR must be'):
        write_rows(path, rows_of(cells(), cells(WAR='1.00'), group='x'))

    def full(*_):
        raise OSError('no space left on device')

    monkeypatch.setattr('micacl_mm.utils.files.os.replace', full)
    with pytest.raises(OSError, match='no space'):
        write_rows(path, [])
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match='there is no folder'):
        read_folder(tmp_path / 'none')


def test_known_runs_are_passed_over_or_refused():
    old = rows_of(cells(), cells(seed='1'))
    blanks = old[1].cells['confusion_matrix'].replace(',', ', ')
    new = rows_of(
        cells(seed='1', date='2025-01-01', confusion_matrix=blanks),
        cells(seed='2'),
        cells(selection='last'),
        group='new',
    )
    assert add_rows(old, new) == new[1:]
    assert add_rows(old, [new[1], new[1]]) == [new[1]]
    other = rows_of(cells(11, seed='1', commit='0000000'), group='new')
    assert add_rows(old, other) == other  # by other code
    better = rows_of(cells(11, seed='1'), group='new')
    with pytest.raises(ValueError, match=r'UAR \(50.00, now 55.00\)'):
        add_rows(old, better)
    # Other mistakes with the same recalls are another result too.
    counts = json.loads(old[1].cells['confusion_matrix'])
    counts[0][1:3] = counts[0][2], counts[0][1]
    other = cells(seed='1', confusion_matrix=json.dumps(counts))
    assert problems(other) == []
    with pytest.raises(ValueError, match='another confusion_matrix'):
        add_rows(old, rows_of(other, group='new'))


def test_published_figures():
    """The committed ones: percentages or empty, each with its source."""
    rows = read_published(RESULTS / PUBLISHED)
    names = [row['method'] for row in rows]
    assert len(names) == len(set(names)) > 10
    best = [float(row['dfew_UAR'] or 0) for row in rows]
    assert best == sorted(best, reverse=True)
    for row in rows:
        assert row['source'] and None not in row.values()
        figures = [v for k, v in row.items() if k.endswith('AR')]
        assert any(figures)
        for name, text in row.items():
            assert text.isprintable() and not text.startswith(('=', '@'))
            if '_' in name and text:
                assert 0 <= float(text) <= 100, (row['method'], name)
