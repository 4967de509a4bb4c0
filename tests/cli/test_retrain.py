"""Retraining of a classifier, on a tiny set."""

from types import SimpleNamespace

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config

from micacl_mm.apis import DFERInferencer
from micacl_mm.cli import main as command
from micacl_mm.cli.launch import run_tool
from micacl_mm.cli.retrain_classifier import main
from micacl_mm.hooks import RetrainClassifierHook
from micacl_mm.records.record import read_record, row_of
from micacl_mm.records.rows import problems
from micacl_mm.registry import MODELS
from tests.records.tiny import ROOT, write_config, write_set


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('retrain')
    write_set(folder / 'data')
    write_config(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MICACL_DATA_ROOT', str(folder / 'data'))
        patch.chdir(folder)
        run_tool('train', ['tiny.py', '--work-dir', 'run', '--seed', '3'])
        yield folder


def state_of(path):
    return torch.load(path, weights_only=True)['state_dict']


def test_only_the_head_changes_and_the_checkpoint_is_whole(place, capsys):
    assert main(['tiny.py', 'run/epoch_1.pth', '--epochs', '2']) == 0
    made = 'run/classifier/epoch_2.pth'
    assert made in capsys.readouterr().out
    old, new = state_of('run/epoch_1.pth'), state_of(made)
    assert old.keys() == new.keys()
    changed = {k for k in old if not torch.equal(old[k], new[k])}
    assert changed == {'cls_head.fc_cls.weight', 'cls_head.fc_cls.bias'}

    run_tool('test', ['tiny.py', made, '--work-dir', 'tested'])
    (path,) = place.glob('tested/*/result.json')
    record = read_record(path)
    assert record['method'] == 'tiny_crt' and record['seed'] == 3
    assert record['pretraining'].startswith('features_of_tiny_')
    assert record['selection'] == 'last' and record['epoch'] == 2
    assert not problems(row_of(record))
    DFERInferencer('tiny.py', made)  # refuses weights that do not fit


def test_a_loss_of_the_neck_does_not_train_the_head():
    cfg = Config.fromfile(ROOT / 'configs/leaderboard/micacl_reference.py')
    cfg.model.neck.aux_loss.class_counts = [9, 8, 7, 6, 5, 4, 3]
    model = MODELS.build(cfg.model).train()
    bags = torch.rand(2, 4, 3, 4, 48, 48)
    samples = [ActionDataSample().set_gt_label(i) for i in range(2)]
    # Its factor 1 - p has a gradient.
    assert 'loss_mccl' in model.loss(bags, samples)
    runner = SimpleNamespace(model=model, iter=0, cfg=cfg)
    RetrainClassifierHook().before_train(runner)
    losses = model.loss(bags, samples)
    assert [name for name in losses if 'loss' in name] == ['loss_cls']


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(
        'micacl_mm.hooks.retrain_classifier_hook.get_world_size', lambda: 2
    )
    with pytest.raises(ValueError, match='by one process, got 2.*--launcher'):
        RetrainClassifierHook().before_train(SimpleNamespace())


@pytest.mark.parametrize('scheduled', [True, False])
def test_fewer_clips_than_a_batch(place, capsys, scheduled):
    loader = 'train_dataloader'
    options = ['batch_size=64', 'drop_last=True', 'persistent_workers=True']
    options = [f'{loader}.{option}' for option in options]
    options += [f'{loader}.num_workers=0'] + (
        [] if scheduled else ['param_scheduler=None']
    )
    code = command(
        ['train', 'tiny.py', '--work-dir', 'few', '--cfg-options', *options]
    )
    said = capsys.readouterr().err
    assert code == 2 and 'do not fill one batch' in said
    assert f'--cfg-options {loader}.drop_last=False' in said


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['tiny.py', 'none.pth'], 'there is no checkpoint none.pth'),
        (['tiny.py', 'run/epoch_1.pth', '--epochs', '0'], '1 or more'),
        *(
            (['tiny.py', 'run/epoch_1.pth', word], said)
            for word, said in (
                ('--resume', '--resume: a retraining starts from CHECKPOINT'),
                ('--resume=x.pth', '--resume: a retraining starts'),
                ('--res', '--resume: a retraining starts'),
                ('--launcher=slurm', '--launcher: a classifier'),
                ('--laun', '--launcher: a classifier'),
            )
        ),
    ],
)
def test_wrong_calls_end_with_a_sentence(place, capsys, arguments, said):
    try:
        code = command(['retrain-classifier', *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2 and said in capsys.readouterr().err
