"""``micacl leaderboard`` and ``tools/dev/board``, and the page it makes."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from micacl_mm.cli import main as micacl
from micacl_mm.records.rows import CLASSES, read_rows, write_rows
from tools.dev.board import markdown
from tools.dev.board.__main__ import main
from tools.dev.board.markdown import BEGIN, END

from .board_rows import SETTINGS, cells, rows_of

ROOT = Path(__file__).parents[2]
VOID = {'meta', 'input', 'link', 'br', 'line', 'rect', 'path'}


class Page(HTMLParser):
    """Sections with their rows of cells; every tag and attribute seen."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sections, self.text = [], [], [], ''
        self.feed(text)
        assert not self.open, 'tags stay open'

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag not in VOID:
            self.open.append(tag)
        if tag == 'section':
            self.sections.append(dict(sets=attrs.get('data-sets'), rows=[]))
        elif tag == 'tr':
            self.sections[-1]['rows'].append([])
        elif tag in ('td', 'th'):
            self.sections[-1]['rows'][-1].append([attrs, ''])

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {'td', 'th'} & set(self.open):
            self.sections[-1]['rows'][-1][-1][1] += data

    def having(self, tag, name):
        found = [attrs for seen, attrs in self.tags if seen == tag]
        return [attrs for attrs in found if name in attrs]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with pages, published figures and no row."""
    monkeypatch.setattr(markdown, 'README_SET', SETTINGS['dataset'])
    results = tmp_path / 'results'
    results.mkdir()
    (tmp_path / 'docs').mkdir()
    for page in ('README.md', 'docs/ablation.md'):
        (tmp_path / page).write_text(f'before\n{BEGIN}\n{END}\nafter\n')
    published = (ROOT / 'results/published.csv').read_text()
    (results / 'published.csv').write_text(published)
    return tmp_path


@pytest.fixture
def call(project):
    def call(*arguments):
        results = str(project / 'results')
        return main(['--results', results, *map(str, arguments)])

    return call


def commit(project, *rows, name='synthetic'):
    write_rows(project / f'results/{name}.csv', rows_of(*rows))


def write_run(folder, row, **changes):
    """The record whose row this is."""
    metrics = {
        f'acc/{name}': row[name.replace('/', '_')]
        for name in ('UAR', 'WAR', *(f'recall/{c}' for c in CLASSES))
    }
    record = {
        'schema': 1,
        **{name: row[name] for name in SETTINGS},
        'clips': int(row['clips']),
        'classes': CLASSES,
        'metrics': {k: float(v) / 100 for k, v in metrics.items()},
        'confusion_matrix': json.loads(row['confusion_matrix']),
    }
    folder.mkdir(parents=True)
    (folder / 'result.json').write_text(json.dumps(record | changes))


def tree(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_this_projects_board_is_up_to_date(capsys):
    code = main(['--check'])
    assert code == 0, capsys.readouterr().out


def test_check_finds_what_is_stale_and_writes_nothing(project, call, capsys):
    commit(project, cells(), cells(12, seed='1'))
    assert call() == 0
    made = tree(project)
    assert call('--check') == 0
    assert call() == 0 and tree(project) == made
    for name in (
        'README.md',
        'results/leaderboard.md',
        'results/leaderboard.html',
    ):
        path = project / name
        text = path.read_text()
        assert '55.00 ± 63.53' in text  # 50 and 60, t = 12.706
        path.write_text(text.replace('55.00', '56.00'))
        before = tree(project)
        capsys.readouterr()
        assert call('--check') == 1
        assert f'{path} is stale' in capsys.readouterr().out
        assert tree(project) == before
        path.write_text(text)
    assert (project / 'README.md').read_text().startswith('before\n<!--')
    assert (project / 'README.md').read_text().endswith('-->\nafter\n')
    commit(project, cells())
    assert call('--check') == 1


@pytest.mark.parametrize(
    'page', ['before', f'{BEGIN}', f'{END} {BEGIN}', f'{BEGIN} {BEGIN} {END}']
)
def test_a_page_without_its_markers_is_told(project, call, capsys, page):
    (project / 'README.md').write_text(page)
    before = tree(project)
    assert call() == 2
    assert 'README.md: must hold one <!--' in capsys.readouterr().err
    assert tree(project) == before


def test_nothing_is_written_on_wrong_rows(project, call, capsys):
    commit(project, cells())
    path = project / 'results/synthetic.csv'
    path.write_text(path.read_text().replace('50.00', '51.00', 1))
    before = tree(project)
    assert call() == 2
    assert f'{path}:2: UAR must be 50.00' in capsys.readouterr().err
    assert tree(project) == before


def test_no_rows(project, call):
    assert call() == 0
    for path in project.rglob('leaderboard.*'):
        text = path.read_text()
        assert 'No training has been run and committed yet.' in text
        assert 'M3DFEL' in text
    readme = (project / 'README.md').read_text()
    assert 'No row of the open benchmark has been committed' in readme


@pytest.fixture
def leaderboard(project, monkeypatch):
    """The user's command; names of folders are below the project."""
    monkeypatch.setenv('COLUMNS', '200')

    def call(*arguments):
        monkeypatch.chdir(project)
        return micacl(['leaderboard', *map(str, arguments)])

    return call


def test_fresh_runs_are_listed_and_change_nothing(
    project, leaderboard, capsys
):
    commit(project, cells(), cells(15, method='[red]b'))
    write_run(project / 'work/seed0', cells())  # is there
    write_run(project / 'work/seed1', cells(12, seed='1'))
    write_run(project / 'other/b', cells(16, method='[red]b'))
    before = tree(project)
    assert leaderboard('work', 'other') == 0
    said = capsys.readouterr().out
    (line,) = (x for x in said.splitlines() if 'made up' in x)
    assert '55.00 ± 63.53' in line and 'not committed' in line
    assert '[red]b (rerun)' in said and 'DFEW' not in said
    assert leaderboard() == 0
    said = capsys.readouterr().out
    assert 'DFEW: published, not rerun' in said and 'M3DFEL' in said
    assert tree(project) == before


def test_add(project, call, leaderboard, capsys):
    commit(project, cells())
    work = project / 'work'
    write_run(work / 'seed1/a', cells(12, seed='1'))
    write_run(work / 'seed1/b', cells(12, seed='1'))  # tested twice
    write_run(work / 'seed0', cells())  # is there
    assert leaderboard('work', '--add', 'synthetic') == 0
    rows = read_rows(project / 'results/synthetic.csv')
    assert [row.cells['seed'] for row in rows] == ['0', '1']
    assert rows[1].cells == cells(12, seed='1')
    before = tree(project)
    assert leaderboard('work', '--add', 'synthetic.csv') == 0
    assert tree(project) == before
    write_run(work / 'lucky', cells(15, seed='1'))
    before = tree(project)
    assert leaderboard('work', '--add', 'other') == 2
    assert 'UAR (60.00, now 75.00)' in capsys.readouterr().err
    assert tree(project) == before


def test_wrong_runs_are_told(project, leaderboard, capsys):
    work = project / 'work'
    assert leaderboard('work') == 2
    assert 'no result.json below work' in capsys.readouterr().err
    write_run(work / 'a', cells(), schema=0)
    write_run(work / 'b', cells(), classes=CLASSES[::-1])
    write_run(work / 'c', cells(), selection='best')
    write_run(work / 'd', cells(), metrics=[])
    (work / 'a/result.json').write_text('{')
    before = tree(project)
    assert leaderboard('work', '--add', 'x') == 2
    said = capsys.readouterr().err
    for name in 'abcd':
        assert f'work/{name}/result.json: ' in said
    assert 'classes must be Happy, Sad' in said
    assert tree(project) == before


@pytest.mark.parametrize(
    'arguments',
    [
        ['--add', 'x'],
        ['x', '--add', 'published'],
        ['x', '--add', '../x'],
        ['--results', 'nowhere'],
    ],
)
def test_options_that_contradict(leaderboard, arguments, capsys):
    with pytest.raises(SystemExit) as error:
        leaderboard(*arguments)
    assert error.value.code == 2
    assert 'leaderboard: error:' in capsys.readouterr().err


def test_the_page(project, call):
    evil = '<script>alert(1)</script>"\'&'
    commit(
        project,
        cells(10, method=evil, machine=evil, config_hash='x', command=evil),
        *(cells(h, seed=str(h), pretraining='K400') for h in (15, 16, 17)),
    )
    assert call() == 0
    text = (project / 'results/leaderboard.html').read_text()
    page = Page(text)
    assert evil not in text and evil in page.text
    assert text.count('<script>') == 1  # ours
    # Nothing is fetched from anywhere.
    assert not page.having('script', 'src') and '://' not in text
    assert not [tag for tag, _ in page.tags if tag in ('link', 'img')]
    rerun, published, reading = page.sections
    head, best, other = rerun['rows']
    assert [attrs.get('data-sort') for attrs, _ in head] == [
        *('text', 'number', 'number', None, 'number'),
        *('text', 'text', 'text', 'number', 'number'),
    ]
    assert [a.get('aria-sort') for a, _ in head][:3] == [
        *(None, 'descending', None),
    ]
    assert best[1][1].startswith('80.00 ± 12.42')
    assert float(best[1][0]['data-value']) == pytest.approx(80)
    assert other[0][0]['data-value'] == evil
    assert other[7][1].split() == ['1', 'seed', 'not', 'ranked']
    for word in ('best on validation slice', '0123456789', '15, 16, 17'):
        assert word in best[0][1]  # the protocol
    # A button a row shows the protocol, and says which.
    tips = {attrs['id'] for attrs in page.having('div', 'id')}
    buttons = page.having('button', 'aria-describedby')
    assert {attrs['aria-describedby'] for attrs in buttons} == tips
    assert len(tips) == 2
    pictures = [a['aria-label'] for a in page.having('svg', 'aria-label')]
    assert pictures[0].endswith('Disgust 80.00 ± 12.42')
    assert ': Neutral 80.00' in pictures[0]
    assert any(p.endswith('Disgust 25.52') for p in pictures[2:])
    found = page.having('tr', 'data-pretraining')
    found = {attrs['data-pretraining'] for attrs in found}
    assert found >= {'none', 'K400', 'Kinetics-400'}


def test_published_figures_stand_apart(project, call):
    commit(project, cells())
    assert call() == 0
    page = Page((project / 'results/leaderboard.html').read_text())
    rerun, published, _ = page.sections
    assert 'Published, not rerun' in page.text
    assert "MICACL's own published figures are not known to us" in page.text
    assert published['sets'] == 'dfew ferv39k'
    rows = {row[0][1]: row for row in published['rows'][1:]}
    assert not {row[0][1] for row in rerun['rows']} & set(rows)
    assert not [name for name in rows if 'MICACL' in name]
    assert [cell for _, cell in rows['M3DFEL'][:8]] == [
        *('M3DFEL', '2023', 'R3D-18', 'Kinetics-400'),
        *('56.10', '69.25', '35.94', '47.67'),
    ]
    assert rows['C3D'][1][1] == '–' and 'by others' in rows['C3D'][-1][1]
    uars = [row[4][1] for row in rows.values()]
    uars = [float(uar) for uar in uars if uar != '–']
    assert uars == sorted(uars, reverse=True)
    text = (project / 'results/leaderboard.md').read_text()
    assert text.index('| made up |') < text.index('## Published, not rerun')
