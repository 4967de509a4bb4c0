"""``micacl leaderboard``, and the pages that ``tools/dev/board.py`` writes."""

import json
from pathlib import Path

import pytest

from micacl_mm.cli import main as micacl
from micacl_mm.records.rows import CLASSES, read_rows, write_rows
from tools.dev import board
from tools.dev.board import BEGIN, END, main

from .board_rows import SETTINGS, cells, rows_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with pages, published figures and no row."""
    monkeypatch.setattr(board, 'README_SET', SETTINGS['dataset'])
    monkeypatch.setenv('COLUMNS', '200')
    (tmp_path / 'docs').mkdir()
    for page in ('README.md', 'docs/ablation.md'):
        (tmp_path / page).write_text(f'before\n{BEGIN}\n{END}\nafter\n')
    published = (ROOT / 'results/published.csv').read_text()
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results/published.csv').write_text(published)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pages(*arguments):
    return main(['--results', 'results', *arguments])


def leaderboard(*arguments):
    return micacl(['leaderboard', *arguments])


def commit(*rows, name='synthetic'):
    write_rows(Path(f'results/{name}.csv'), rows_of(*rows))


def write_run(folder, row, **changes):
    """The record whose row this is."""
    metrics = {
        f'acc/{name}': float(row[name.replace('/', '_')]) / 100
        for name in ('UAR', 'WAR', *(f'recall/{c}' for c in CLASSES))
    }
    record = {
        'schema': 1,
        **{name: row[name] for name in SETTINGS},
        'clips': int(row['clips']),
        'classes': CLASSES,
        'metrics': metrics,
        'confusion_matrix': json.loads(row['confusion_matrix']),
    }
    Path(folder).mkdir(parents=True)
    Path(folder, 'result.json').write_text(json.dumps(record | changes))


def tree():
    return {p: p.read_bytes() for p in Path().rglob('*') if p.is_file()}


def test_this_projects_board_is_up_to_date(capsys):
    code = main(['--check'])
    assert code == 0, capsys.readouterr().out


def test_check_finds_what_is_stale_and_writes_nothing(project, capsys):
    ours = dict(method='r3d18_mil')  # which README shows
    commit(cells(**ours), cells(12, seed='1', **ours))
    assert pages() == 0
    made = tree()
    assert pages('--check') == 0
    assert pages() == 0 and tree() == made
    for path in (Path('README.md'), Path('results/leaderboard.md')):
        text = path.read_text()
        assert '55.00 ± 63.53' in text  # 50 and 60, t = 12.706
        path.write_text(text.replace('55.00', '56.00'))
        before = tree()
        capsys.readouterr()
        assert pages('--check') == 1
        assert f'{path} is stale' in capsys.readouterr().out
        assert tree() == before
        path.write_text(text)
    assert Path('README.md').read_text().startswith('before\n<!--')
    assert Path('README.md').read_text().endswith('-->\nafter\n')
    commit(cells())
    assert pages('--check') == 1


@pytest.mark.parametrize(
    'page', ['before', f'{BEGIN}', f'{END} {BEGIN}', f'{BEGIN} {BEGIN} {END}']
)
def test_a_page_without_its_markers_is_told(project, capsys, page):
    Path('README.md').write_text(page)
    before = tree()
    assert pages() == 2
    assert 'README.md: must hold one <!--' in capsys.readouterr().err
    assert tree() == before


def test_nothing_is_written_on_wrong_rows(project, capsys):
    commit(cells())
    path = Path('results/synthetic.csv')
    path.write_text(path.read_text().replace('50.00', '51.00', 1))
    before = tree()
    assert pages() == 2
    assert f'{path}:2: UAR must be 50.00' in capsys.readouterr().err
    assert tree() == before


def test_no_rows(project):
    assert pages() == 0
    text = Path('results/leaderboard.md').read_text()
    assert 'No training has been run and committed yet.' in text
    assert '## Published, not rerun' in text and 'M3DFEL' in text
    assert 'No row of the open benchmark' in Path('README.md').read_text()


def test_fresh_runs_are_listed_and_change_nothing(project, capsys):
    commit(cells(), cells(15, method='[red]b'))
    write_run('work/seed0', cells())  # is there
    write_run('work/seed1', cells(12, seed='1'))
    write_run('other/b', cells(16, method='[red]b'))
    before = tree()
    assert leaderboard('work', 'other') == 0
    said = capsys.readouterr().out
    lines = [x for x in said.splitlines() if 'made up' in x]
    assert ['not committed' in line for line in lines] == [True, False]
    assert '55.00 ± 63.53' in lines[0]
    assert said.count('[red]b') == 2 and 'DFEW' not in said
    assert leaderboard() == 0
    said = capsys.readouterr().out
    assert 'DFEW: published, not rerun' in said and 'M3DFEL' in said
    assert tree() == before


def test_add(project, capsys):
    commit(cells())
    write_run('work/seed1/a', cells(12, seed='1'))
    write_run('work/seed1/b', cells(12, seed='1'))  # tested twice
    write_run('work/seed0', cells())  # is there
    write_run('work/new', cells(9, config_hash='of today'))
    assert leaderboard('work', '--add', 'synthetic') == 0
    rows = read_rows(Path('results/synthetic.csv'))
    assert [row.cells['seed'] for row in rows] == ['0', '0', '1']
    assert rows[2].cells == cells(12, seed='1')
    before = tree()
    assert leaderboard('work', '--add', 'synthetic.csv') == 0
    assert tree() == before
    write_run('work/lucky', cells(15, seed='1'))
    before = tree()
    assert leaderboard('work', '--add', 'other') == 2
    assert 'UAR (60.00, now 75.00)' in capsys.readouterr().err
    assert tree() == before


def test_wrong_runs_are_told(project, capsys):
    assert leaderboard('work') == 2
    assert 'no result.json below work' in capsys.readouterr().err
    write_run('work/a', cells())
    write_run('work/b', cells(), classes=CLASSES[::-1])
    write_run('work/c', cells(), selection='best')
    write_run('work/d', cells(), metrics=[])
    write_run('work/e', cells(), method='=HYPERLINK("x")')
    Path('work/a/result.json').write_text('{')
    before = tree()
    assert leaderboard('work', '--add', 'x') == 2
    said = capsys.readouterr().err
    for name in 'abcde':
        assert f'work/{name}/result.json: ' in said
    assert 'classes must be Happy, Sad' in said
    assert tree() == before


@pytest.mark.parametrize(
    'arguments',
    [
        ['--add', 'x'],
        ['x', '--add', 'published'],
        ['x', '--add', '../x'],
        ['--results', 'nowhere'],
    ],
)
def test_options_that_contradict(project, arguments, capsys):
    with pytest.raises(SystemExit) as error:
        leaderboard(*arguments)
    assert error.value.code == 2
    assert 'leaderboard: error:' in capsys.readouterr().err
