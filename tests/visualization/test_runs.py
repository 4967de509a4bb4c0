"""What is found in the folders of trainings."""

import json
import os

import pytest
import torch

from micacl_mm.visualization.method import find_methods

from .helpers import record_of, write_run

CLASSES = ('a', 'b', 'c')
CONFIG = "model = dict(type='{}')\nfold = {}\n"


def run_of(*arguments, **options):
    """The only run in a folder that is written here."""
    (method,) = find_methods(write_run(*arguments, **options))
    (run,) = method.runs
    return run


def test_newest_result_counts(tmp_path):
    newer = tmp_path / '20250103_000000' / 'result.json'
    newer.parent.mkdir()
    newer.write_text(json.dumps(record_of([[5, 0, 0]] * 3)))
    os.utime(newer, (0, 0))  # a copied folder has other times
    run = run_of(tmp_path, record_of([[1, 0, 0]] * 3))
    assert run.result().matrix[0, 0] == 5


def test_run_without_a_test(tmp_path):
    run = run_of(tmp_path)
    with pytest.raises(FileNotFoundError, match='run tools/test.py'):
        run.result()
    assert run.tested_epoch() is None
    assert run.config() == tmp_path / '20250101_000000/vis_data/config.py'


def test_checkpoint_is_the_tested_one_else_the_best_else_the_last(tmp_path):
    record = record_of([[1]], checkpoint='elsewhere/epoch_3.pth')
    run = run_of(tmp_path, record)
    with pytest.raises(FileNotFoundError, match='--checkpoint'):
        run.checkpoint()
    for time, name in enumerate(
        ('epoch_1.pth', 'epoch_2.pth', 'best_acc_UAR_epoch_1.pth')
    ):
        path = tmp_path / name
        path.touch()
        os.utime(path, (time, 100 - abs(time - 1)))
        assert run.checkpoint() == path
    (tmp_path / 'epoch_3.pth').touch()
    assert run.checkpoint() == tmp_path / 'epoch_3.pth'


@pytest.mark.parametrize(
    ('log', 'counts'),
    [
        ('x - class counts of the training set: [3, 2, 1]\n', [3, 2, 1]),
        ('DFEWDataset, train: 6 clips (b 2, a 4). 1 more', [4, 2, 0]),
        ('DFEWDataset, test: 6 clips (b 2, a 4).', None),
        ('x - class counts of the training set: [3, 2]\n', None),
    ],
)
def test_class_counts_of_the_log(tmp_path, log, counts):
    run = run_of(tmp_path, log=log)
    assert run.class_counts(CLASSES) == counts


def test_class_counts_of_the_checkpoint(tmp_path):
    run = run_of(tmp_path)
    state = {'neck.aux_loss.class_counts': torch.tensor([7, 8, 9])}
    torch.save(dict(state_dict=state), tmp_path / 'epoch_1.pth')
    assert run.class_counts(CLASSES) == [7, 8, 9]
    assert run.class_counts(('a', 'b')) is None


@pytest.fixture
def folder(tmp_path):
    """Two folds of one method, of which one is tested, and another method."""
    record = record_of([[1, 0], [0, 1]], 'ab')
    write_run(tmp_path / 'm/fold1/seed0', record, config=CONFIG.format('M', 1))
    write_run(tmp_path / 'm/fold2/seed0', config=CONFIG.format('M', 2))
    write_run(tmp_path / 'b/fold1/seed0', config=CONFIG.format('B', 1))
    return tmp_path


def test_runs_are_sorted_by_method(folder):
    other, method = find_methods(folder)
    assert method.folder == folder / 'm' and other.folder.parent.parent.name
    names = [run.folder.parent.name for run in method.runs]
    assert names == ['fold1', 'fold2']
    assert (method.label, other.label) == ('micacl', 'micacl')
    assert len(method.results()) == 1
    with pytest.raises(FileNotFoundError, match='run tools/test.py'):
        other.results()


def test_one_run_and_one_session(folder):
    run = folder / 'm/fold1/seed0'
    (method,) = find_methods(run)
    assert [found.folder for found in method.runs] == [run]
    (run / 'epoch_1.pth').touch()
    (session,) = find_methods(run / '20250102_000000')
    assert session.runs[0].folder == run / '20250102_000000'
    assert session.results()[0].record['fold'] == 1
    assert session.runs[0].checkpoint() == run / 'epoch_1.pth'


def test_runs_tested_in_different_ways_are_not_mixed(folder):
    path = folder / 'm/fold2/seed0/20250103_000000/result.json'
    path.parent.mkdir()
    record = record_of([[1, 0], [0, 1]], 'ab', fold=2, selection='last')
    path.write_text(json.dumps(record))
    method = find_methods(folder)[1]
    with pytest.raises(ValueError, match='one selection, got last, val'):
        method.results()
    method = find_methods(folder, dict(selection='last'))[1]
    assert [result.record['fold'] for result in method.results()] == [2]


def test_results_of_kfold_are_of_the_run_above_them(tmp_path):
    """It keeps one record of each selection rule."""
    run = write_run(tmp_path / 'fold1' / 'seed0')
    for time, name in enumerate(('val', 'last')):
        path = run / name / 'result.json'
        path.parent.mkdir()
        path.write_text(json.dumps(record_of([[1]], 'a', selection=name)))
        os.utime(path, (time, time))
    (method,) = find_methods(tmp_path)
    assert [found.folder for found in method.runs] == [run]
    assert method.results()[0].record['selection'] == 'last'  # the newest
    (method,) = find_methods(tmp_path, dict(selection='val', subset=''))
    assert method.results()[0].record['selection'] == 'val'


def test_results_alone_are_runs_too(tmp_path):
    for seed in (0, 1):
        path = tmp_path / f'seed{seed}' / 'result.json'
        path.parent.mkdir()
        path.write_text(json.dumps(record_of([[1]], 'a', seed=seed)))
    (method,) = find_methods(tmp_path)
    assert [r.record['seed'] for r in method.results()] == [0, 1]


def test_folders_without_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no run'):
        find_methods(tmp_path)
    with pytest.raises(FileNotFoundError, match='is no folder'):
        find_methods(tmp_path / 'absent')
