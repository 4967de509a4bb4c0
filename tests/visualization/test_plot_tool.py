"""`micacl plot` from the command line to the files."""

import re
from pathlib import Path

import numpy as np
import pytest

from micacl_mm.cli import main
from micacl_mm.visualization import plots

from .helpers import LABELS, check_png, record_of, write_run

MATRIX = [[8, 1, 1], [2, 7, 1], [0, 5, 5]]
SCALARS = [
    dict(lr=0.1, loss=2.0, loss_cls=2.0, epoch=1, iter=5, step=5),
    {'acc/UAR': 0.3, 'acc/WAR': 0.4, 'step': 1},
]
PICTURES = ['confusion_matrix.png', 'curves.png', 'recall.png']


@pytest.fixture
def plot(capsys, monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)

    def plot(*arguments):
        code = main(['plot', *map(str, arguments)])
        return code, ''.join(capsys.readouterr())

    return plot


def pictures(folder):
    return sorted(path.name for path in folder.glob('*.png'))


def test_all_pictures_of_a_run(plot, trained, tmp_path):
    _, cfg, checkpoint, _ = trained
    record = record_of(MATRIX, checkpoint=str(checkpoint))
    run = write_run(tmp_path / 'run', record, SCALARS, cfg.pretty_text)
    code, out = plot(run)
    made = sorted([*PICTURES, 'features_pca.png'])
    assert code == 0 and pictures(run / 'plots') == made
    for name in made:
        check_png(run / 'plots' / name)
        assert str(run / 'plots' / name) in out
    with np.load(run / 'plots' / 'features.npz') as found:
        assert found['labels'].tolist() == list(LABELS)
    assert 'input of cls_head.fc_cls' in out
    # The record stands where it stood.
    assert len(list(run.rglob('result.json'))) == 1


def test_what_is_missing_is_told_and_stops_nothing(plot, tmp_path):
    run = write_run(tmp_path / 'run', None, SCALARS)
    code, out = plot(run)
    assert code == 0 and pictures(run / 'plots') == ['curves.png']
    for what in ('confusion matrix', 'recall'):
        assert f'no {what} of micacl: no result.json' in out
    assert 'no features of micacl: no checkpoint in' in out


def test_nothing_at_all_is_an_error(plot, tmp_path):
    run = write_run(tmp_path / 'run')
    code, out = plot(run, '--features', 'none')
    assert code == 1 and not (run / 'plots').exists()
    assert 'no training iteration is logged' in out
    assert 'features' not in out
    code, out = plot(tmp_path / 'absent')
    assert code == 2 and 'is not a folder' in out


@pytest.fixture
def empty(monkeypatch):
    """Draw all, and write empty files: what is in them is tested above."""

    def save(figure, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    monkeypatch.setattr(plots, 'save', save)


@pytest.fixture
def several(tmp_path, empty):
    """Two seeds of one method and one of another."""
    for method, seed in (('micacl', 0), ('micacl', 1), ('baseline', 0)):
        record = record_of(MATRIX, method=method, seed=seed)
        config = f'model = dict(type={method!r})\n'
        folder = tmp_path / 'runs' / method / 'fold1' / f'seed{seed}'
        write_run(folder, record, SCALARS, config)
    return tmp_path / 'runs'


def test_a_folder_of_methods(plot, several):
    code, _ = plot(several, '--features', 'none')
    assert code == 0
    assert pictures(several / 'plots') == ['recall_compared.png']
    for method in ('micacl', 'baseline'):
        assert pictures(several / 'plots' / method) == PICTURES


def test_options_that_do_not_fit(plot, several):
    for words, *arguments in (
        ('2 different names', several, '--labels', 'one'),
        ('is for one run', several / 'micacl', '--checkpoint', __file__),
        ('no checkpoint x.pth', several / 'baseline', '--checkpoint', 'x.pth'),
        ('none of the 3 tests', several, '--where', 'selection=last'),
    ):
        code, out = plot(*arguments)
        assert code == 2 and words in out
    for arguments in ((), ('--from-rows', 'a.csv'), ('a', '--from-rows', 'b')):
        with pytest.raises(SystemExit):
            plot(*arguments)


def test_recalls_of_rows(plot, rows, tmp_path):
    arguments = ('--from-rows', rows, '--out', tmp_path)
    methods = ('--methods', 'baseline', 'micacl')
    code, out = plot(*arguments, *methods)
    assert code == 2 and '--where selection=' in out
    code, out = plot(*arguments, *methods, '--where', 'selection=val')
    assert code == 0 and str(tmp_path / 'recall.png') in out
    check_png(tmp_path / 'recall.png')


def test_the_page_shows_what_the_code_does(empty, tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / 'docs/plots.md'
    (code,) = re.findall(r'```py\n(.*?)```', page.read_text(), re.S)
    write_run(tmp_path / 'work_dirs/micacl_demo', record_of(MATRIX), SCALARS)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    made = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert made == {'confusion.pdf', 'recall.svg', 'curves.pdf'}
