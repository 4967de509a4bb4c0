"""The record of a real test, and its row."""

import datetime
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from sklearn.metrics import accuracy_score, balanced_accuracy_score

import micacl_mm
from micacl_mm.hooks import result_hook
from micacl_mm.records.config_hash import config_hash
from micacl_mm.records.record import (
    metric_of,
    read_record,
    row_of,
    write_record,
)
from micacl_mm.records.rows import (
    CLASSES,
    COLUMNS,
    ENTRY_KEY,
    ResultRow,
    problems,
)
from micacl_mm.utils.datasets import unwrap
from micacl_mm.visualization import plots
from tests.sets import write_dfew_split

from .tiny import write_config, write_set

UNEVEN = [40, 20, 20, 10, 5, 1, 9]
SAMPLING = '16 frames, 4 instances of 4, 48 px, 1 crop, no chance'


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('record')
    write_set(folder / 'data', (1, 2))
    write_config(folder)
    return folder


@pytest.fixture(autouse=True, scope='module')
def _without_pictures():
    """They are tested with the hook, and take longer than a test here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, 'plot_confusion', lambda *_: None)
        yield


def runner_of(place, name, **changes):
    config = Config.fromfile(place / 'tiny.py')
    settings = {'data_root': str(place / 'data'), 'fold': 1, **changes}
    for split in ('train', 'val', 'test'):
        dataset = config[f'{split}_dataloader'].dataset
        dataset.get('dataset', dataset).update(settings)
    config.randomness = dict(seed=5)
    config.work_dir = str(place / name)
    config.experiment_name = name  # else two within a second share a folder
    return Runner.from_cfg(config)


def record_of(runner, checkpoint=None):
    if checkpoint is not None:
        runner.cfg.load_from = runner._load_from = str(checkpoint)
        runner._has_loaded = False
    runner.test()
    return read_record(Path(runner.log_dir, 'result.json'))


@pytest.fixture(scope='module')
def trained(place):
    runner = runner_of(place, 'trained')
    with pytest.MonkeyPatch.context() as patch:
        # Validation while training measures and writes none of this.
        patch.setattr(result_hook, 'collect_record', None)
        runner.train()
    assert not list((place / 'trained').glob('**/result.json'))
    return runner, record_of(runner)


@pytest.fixture(scope='module')
def tester(place, trained):
    """Tests any file, as another process does."""
    return runner_of(place, 'tester')


def changed(place, name, **facts):
    """The best checkpoint, with another training told in it."""
    (path,) = (place / 'trained').glob('best_*.pth')
    state = torch.load(path, weights_only=True)
    state['meta']['micacl_mm'].update(facts)
    torch.save(state, place / name)
    return place / name


def test_record_of_the_best_checkpoint(place, trained, tester):
    folder = place / 'trained'
    best = folder / 'best_acc_UAR_epoch_1.pth'
    record = record_of(tester, best)
    assert (
        record
        | {
            'schema': 1,
            'method': 'tiny',
            'dataset': 'dfew',
            'config': str(place / 'tiny.py'),
            'version': micacl_mm.__version__,
            'seed': 5,
            'fold': 1,
            'subset': None,
            'copy': 'Clip/clip_224x224',
            'selection': 'val',
            'epoch': 1,
            'max_epochs': 1,
            'val_ratio': 0.1,
            'sampling': SAMPLING,
            'pretraining': 'none',
            'checkpoint': str(best),
            'clips': 7,
            'dropped': 0,
            'clips_per_class': [1] * 7,
            'date': datetime.date.today().isoformat(),
        }
        == record
    )
    live = config_hash(trained[0].cfg.to_dict())
    assert record['config_hash'] == live
    weights = sum(p.numel() for p in tester.model.parameters())
    assert record['parameters'] == weights


def test_adjusted_logits_are_another_entry(place, trained):
    last = place / 'trained/epoch_1.pth'
    counts = torch.load(last, weights_only=True)['meta']['micacl_mm']
    counts = counts['class_counts']
    dataset = unwrap(trained[0].train_dataloader.dataset)
    assert counts == dataset.class_counts
    runner = runner_of(place, 'adjusted')
    hook = dict(type='LogitAdjustmentHook', tau=3.0, class_counts=UNEVEN)
    runner.register_hook(hook)
    record = record_of(runner, last)
    wanted = torch.zeros(7, 7, dtype=torch.long)
    shift = 3 * (torch.tensor(UNEVEN) / sum(UNEVEN)).log()
    for data in runner.test_dataloader:
        for sample in runner.model.test_step(data):
            found = (sample.pred_score.log() - shift).argmax()
            wanted[sample.gt_label, found] += 1
    assert record['confusion_matrix'] == wanted.tolist()
    assert wanted.tolist() != trained[1]['confusion_matrix']
    rows = [row_of(record), row_of(trained[1])]
    assert [row['logit_adjust'] for row in rows] == ['3', '']
    assert not problems(rows[0])
    keys = [ResultRow(row).key(ENTRY_KEY) for row in rows]
    assert keys[0] != keys[1]


def test_figures_are_scikit_learns(trained):
    matrix = torch.tensor(trained[1]['confusion_matrix'])
    pairs = matrix.nonzero().repeat_interleave(matrix[matrix > 0], dim=0)
    truth, found = pairs.T.tolist()
    for name, score in (
        ('UAR', balanced_accuracy_score(truth, found)),
        ('WAR', accuracy_score(truth, found)),
    ):
        assert metric_of(trained[1], name) == pytest.approx(score)


def test_last_epoch_and_the_weights_just_trained(place, trained, tester):
    last = place / 'trained/epoch_1.pth'
    assert record_of(tester, last)['selection'] == 'last'
    # In the process that trained: the same weights without a file.
    record = trained[1]
    assert record['selection'] == 'last' and record['checkpoint'] is None
    assert record['epoch'] == 1 and record['seed'] == 5


def test_the_training_counts_not_the_config_of_the_test(place, tester):
    best = changed(place, 'best_a.pth', chosen_on='test', val_ratio=0)
    record = record_of(tester, best)
    assert record['selection'] == 'test' and record['val_ratio'] == 0
    # A fold that was trained on is no result.
    record = record_of(tester, changed(place, 'best_b.pth', fold=2))
    assert record['fold'] == 1 and record['selection'] == 'other'


def test_a_checkpoint_without_a_training(place, tester):
    state = torch.load(place / 'trained/epoch_1.pth', weights_only=True)
    torch.save({'state_dict': state['state_dict']}, place / 'best_bare.pth')
    record = record_of(tester, place / 'best_bare.pth')
    assert record['selection'] == 'other' and record['config_hash'] == ''
    for key in ('seed', 'epoch', 'max_epochs', 'val_ratio'):
        assert record[key] is None
    assert record['clips'] == 7


def test_clips_left_out_are_counted(place, trained):
    root = place / 'fewer'
    write_set(root)
    rows = [(130, 4), *((i, 1) for i in range(128, 130)), (9999, 2)]
    write_dfew_split(root, 'test', rows)
    changes = dict(data_root=str(root), missing='drop')
    runner = runner_of(place, 'drop', **changes)
    record = record_of(runner, place / 'trained/epoch_1.pth')
    assert record['clips'] == 3 and record['dropped'] == 1
    assert record['metrics']['acc/recall/Fear'] is None
    assert row_of(record)['recall_Fear'] == ''


def test_row(trained):
    record = {**trained[1], 'parameters': 49_195_049}
    record['config'] = '/home/me/clone/configs/leaderboard/dfew/micacl.py'
    row = row_of(record)
    assert tuple(row) == COLUMNS
    assert not problems(row)
    assert row['UAR'] == f'{100 * metric_of(record, "UAR"):.2f}'
    recalls = [float(row[f'recall_{name}']) for name in CLASSES]
    assert float(row['UAR']) == pytest.approx(sum(recalls) / 7, abs=0.01)
    assert row['parameters_m'] == '49.20'
    assert row['fold'] == '1' and row['subset'] == ''
    assert row['val_ratio'] == '0.1'
    assert row['config'] == 'configs/leaderboard/dfew/micacl.py'
    matrix = json.loads(row['confusion_matrix'])
    assert matrix == record['confusion_matrix']


@pytest.mark.parametrize(
    ('path', 'shown'),
    [
        ('/a/configs/b/configs/x.py', 'configs/x.py'),
        ('configs/x.py', 'configs/x.py'),
        ('/home/me/x.py', 'x.py'),
        (None, ''),
    ],
)
def test_row_shows_no_path_of_the_machine(trained, path, shown):
    assert row_of({**trained[1], 'config': path})['config'] == shown


def test_unknown_is_empty(trained):
    unknown = ('parameters', 'seed', 'epoch')
    row = row_of({**trained[1], **dict.fromkeys(unknown)})
    for column in ('gflops', 'parameters_m', 'seed', 'epoch'):
        assert row[column] == ''


def test_a_record_comes_back_whole(trained, tmp_path):
    path = tmp_path / 'result.json'
    write_record(trained[1], path)
    assert read_record(path) == trained[1]
    assert list(tmp_path.iterdir()) == [path]
    for broken in ('{', '[]', '{"schema": 2}'):
        path.write_text(broken)
        with pytest.raises(ValueError, match='test the checkpoint again'):
            read_record(path)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / 'none.json')
