"""Runs below a folder: their tests, logs, checkpoints and methods."""

import json
import os

import pytest
import torch

from micacl_mm.visualization.runs import (
    check_comparable,
    check_replicates,
    find_runs,
    group_by_method,
    results_of_rows,
)

from .helpers import EMOTIONS, of_hits, record_of, write_run


def run_of(*arguments, **options):
    """The only run in a folder that is written here."""
    (run,) = find_runs(write_run(*arguments, **options))
    return run


def test_the_newest_test_counts(tmp_path):
    newer = tmp_path / '20250103_000000' / 'result.json'
    newer.parent.mkdir()
    newer.write_text(json.dumps(record_of([[5, 0, 0]] * 3)))
    os.utime(newer, (0, 0))  # a copied folder has other times
    run = run_of(tmp_path, record_of([[1, 0, 0]] * 3))
    assert run.result().matrix[0, 0] == 5


def test_checkpoint_is_the_tested_one_else_the_best_else_the_last(tmp_path):
    record = record_of([[1]], 'a', checkpoint='elsewhere/epoch_3.pth')
    run = run_of(tmp_path, record)
    with pytest.raises(FileNotFoundError, match='--checkpoint'):
        run.checkpoint()
    names = ('epoch_1.pth', 'epoch_2.pth', 'best_acc_UAR_epoch_1.pth')
    for time, name in enumerate(names):
        path = tmp_path / name
        path.touch()
        os.utime(path, (time, 100 - abs(time - 1)))
        assert run.checkpoint() == path
    (tmp_path / 'epoch_3.pth').touch()
    assert run.checkpoint() == tmp_path / 'epoch_3.pth'


def test_class_counts_of_the_checkpoint(tmp_path):
    run = run_of(tmp_path)
    assert run.class_counts(3) is None
    state = {'neck.aux_loss.class_counts': torch.tensor([7, 8, 9])}
    torch.save(dict(state_dict=state), run.folder / 'epoch_1.pth')
    assert run.class_counts(3) == [7, 8, 9] and run.class_counts(2) is None


def test_runs_are_grouped_by_method(tmp_path):
    for method, fold in (('m', 1), ('m', 2), ('b', 1)):
        record = record_of([[1]], 'a', fold=fold, method=method)
        write_run(tmp_path / f'{method}/fold{fold}', record)
    other = record_of([[1]], 'a', method='m', fold=3, config_hash='f')
    write_run(tmp_path / 'changed', other)
    groups = group_by_method(find_runs(tmp_path))
    assert sorted(map(len, groups.values())) == [1, 1, 2]
    folds = [
        r.result().record['fold'] for r in groups[f'm in {tmp_path}/m/fold1']
    ]
    assert folds == [1, 2]


def test_tests_are_chosen_by_what_their_records_say(tmp_path):
    """kfold keeps the test of each selection rule in a folder."""
    run = write_run(tmp_path / 'fold1' / 'seed0')
    for time, name in enumerate(('val', 'last')):
        path = run / name / 'result.json'
        path.parent.mkdir()
        path.write_text(json.dumps(record_of([[1]], 'a', selection=name)))
        os.utime(path, (time, time))
    (found,) = find_runs(tmp_path)
    assert found.folder == run
    assert found.result().record['selection'] == 'last'  # the newest
    (found,) = find_runs(tmp_path, dict(selection='val', subset=''))
    assert found.result().record['selection'] == 'val'
    with pytest.raises(ValueError, match='none of the 2 tests'):
        find_runs(tmp_path, dict(selection='test'))


def test_a_session_alone_and_records_alone_are_runs(tmp_path):
    run = write_run(tmp_path / 'run', record_of([[1]], 'a'))
    (run / 'epoch_1.pth').touch()
    (session,) = find_runs(run / '20250102_000000')
    assert session.result().record['fold'] == 1
    assert session.checkpoint() == run / 'epoch_1.pth'
    for seed in (0, 1):
        path = tmp_path / 'kept' / f'seed{seed}' / 'result.json'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record_of([[1]], 'a', seed=seed)))
    assert len(find_runs(tmp_path / 'kept')) == 2


@pytest.mark.parametrize(
    'more',
    [
        dict(selection='last'),
        dict(config_hash='x'),
        dict(),
        dict(total=9, seed=1),
    ],
)
def test_only_replicates_are_averaged(more):
    check_replicates([of_hits(1, 2, 3), of_hits(1, 2, 3, seed=1)])
    with pytest.raises(ValueError, match='to be averaged must'):
        check_replicates([of_hits(1, 2, 3), of_hits(1, 2, 3, **more)])


@pytest.mark.parametrize(
    'more',
    [
        dict(dataset='dfew'),
        dict(fold=2),
        dict(selection='test'),
        dict(total=20),
        dict(classes=('x', 'y', 'z')),
    ],
)
def test_methods_on_other_clips_are_not_compared(more):
    check_comparable([[of_hits(1, 2, 3)], [of_hits(3, 2, 1)]])
    with pytest.raises(ValueError, match='compared methods must'):
        check_comparable([[of_hits(1, 2, 3)], [of_hits(1, 2, 3, **more)]])


def test_rows_of_a_table(rows):
    found = results_of_rows(rows, 'micacl', dict(selection='val'))
    assert [result.matrix[6, 6].item() for result in found] == [3, 1]
    (only,) = results_of_rows(rows, 'baseline')
    assert only.classes == EMOTIONS and only.matrix.trace() == 14
    with pytest.raises(ValueError, match='same selection, got last, val'):
        results_of_rows(rows, 'micacl')
    with pytest.raises(ValueError, match='methods are baseline, micacl'):
        results_of_rows(rows, 'mica')
    with pytest.raises(ValueError, match="no column 'rule'"):
        results_of_rows(rows, 'baseline', {'rule': 'last'})


def train(epoch, step, loss=1.0, **more):
    return dict(lr=0.1 / step, loss=loss, epoch=epoch, step=step, **more)


def val(epoch, uar):
    return {'acc/UAR': uar, 'acc/WAR': 0.5, 'time': 0.2, 'step': epoch}


def history(folder, *sessions):
    """Scalars of a run with these sessions, one after the other."""
    for number, session in enumerate(sessions):
        path = folder / f'2025010{number}_000000/vis_data/scalars.json'
        path.parent.mkdir(parents=True)
        lines = [s if isinstance(s, str) else json.dumps(s) for s in session]
        path.write_text('\n'.join(lines))
    (run,) = find_runs(folder)
    return run.scalars()


def test_scalars_of_one_session(tmp_path):
    found = history(
        tmp_path,
        [
            train(1, 4, 3.0, loss_cls=2.0),
            train(1, 8, 2.0, loss_cls=1.5),
            val(1, 0.2),
            train(2, 12, 1.0, loss_cls=0.8),
            train(2, 16, 0.5, loss_cls=0.4),
            val(2, 0.4),
        ],
    )
    x = [0.5, 1.0, 1.5, 2.0]
    assert found.unit == 'epoch'
    assert found.losses == {
        'loss': (x, [3.0, 2.0, 1.0, 0.5]),
        'loss_cls': (x, [2.0, 1.5, 0.8, 0.4]),
    }
    assert found.rates == {'lr': (x, [0.1 / n for n in (4, 8, 12, 16)])}
    assert found.metrics == {
        'UAR': ([1, 2], [0.2, 0.4]),
        'WAR': ([1, 2], [0.5, 0.5]),
    }


def test_scalars_of_a_tracked_session(tmp_path):
    """With --track, names begin with train/ or val/."""

    def prefixed(record, mode):
        plain = ('epoch', 'step')
        return {
            k if k in plain else f'{mode}/{k}': v for k, v in record.items()
        }

    steps = [train(1, 4, 3.0, loss_cls=2.0), train(2, 8, 1.0, loss_cls=0.8)]
    session = [steps[0], val(1, 0.2), steps[1], val(2, 0.4)]
    tracked = [prefixed(r, 'train' if 'lr' in r else 'val') for r in session]
    found = history(tmp_path / 'tracked', tracked)
    assert found == history(tmp_path / 'plain', session)
    assert found.metrics['UAR'] == ([1, 2], [0.2, 0.4])


def test_a_resumed_session_replaces_what_it_repeats(tmp_path):
    """Killed in epoch 3 while writing, resumed behind epoch 2."""
    first = [
        *(train(1, 4), train(1, 8), val(1, 0.1)),
        *(train(2, 12), train(2, 16), val(2, 0.2), train(3, 20, 9.0)),
        '{"lr": 0.1, "lo',
    ]
    second = [train(3, 20, 7.0), train(3, 24, 6.0), val(3, 0.3)]
    found = history(tmp_path, first, second)
    x, y = found.losses['loss']
    assert x == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert y == [1.0, 1.0, 1.0, 1.0, 7.0, 6.0]
    assert found.metrics['UAR'] == ([1, 2, 3], [0.1, 0.2, 0.3])


def test_a_training_that_counts_iterations(tmp_path):
    records = [train(1, step) for step in (10, 20, 30)]
    for record in records:
        del record['epoch']
    metrics = {'acc/mean1': 0.3, 'acc/top1': 0.6, 'step': 20}
    found = history(tmp_path, [*records[:2], metrics, records[2]])
    assert found.unit == 'iteration'
    assert found.losses['loss'][0] == [10, 20, 30]
    assert found.metrics == {'UAR': ([20], [0.3]), 'WAR': ([20], [0.6])}
