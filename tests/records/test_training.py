"""The hash of a config, and what a checkpoint tells of its training."""

import copy
import json
from pathlib import Path

import pytest
from mmengine.config import Config

from micacl_mm.errors import DataError
from micacl_mm.records import training as module
from micacl_mm.records.config_hash import (
    config_hash,
    pretraining_of,
    short_type,
)
from micacl_mm.records.training import FACTS, Training, training_facts

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def config():
    """The variables of a config."""
    found = Config.fromfile(ROOT / 'configs/micacl_demo.py')
    found.merge_from_dict({'randomness.seed': 3, 'train_cfg.max_epochs': 6})
    return found.to_dict()


def test_short_types():
    for name, short in (
        ('GEIIM', 'GEIIM'),
        ('micacl_mm.GEIIM', 'GEIIM'),
        ('torch.optim.adamw.AdamW', 'AdamW'),
        ('timm.models.resnet18', 'timm.resnet18'),
        ('torchvision.resnet18', 'torchvision.resnet18'),
    ):
        assert short_type(name) == short


def changed(config, **paths):
    config = copy.deepcopy(config)
    for path, value in paths.items():
        *parents, last = path.split('__')
        part = config
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
    return config


NO_MATTER = [
    {'work_dir': '/home/me/run'},
    {'randomness__seed': 4},
    {'test_dataloader__dataset__fold': 5},
    {'test_dataloader__dataset__subset': 'War'},
    {'train_dataloader__dataset__data_root': '/data/x'},
    {'train_dataloader__num_workers': 16},
    {'train_dataloader__persistent_workers': False},
    {'test_dataloader__batch_size': 1},
    {'default_hooks__logger__interval': 1},
    {'default_hooks__checkpoint__max_keep_ckpts': 9},
    {'launcher': 'pytorch'},
    {'resume': True},
    {'auto_scale_lr__base_batch_size': 1},  # not enabled
    {'method': 'other name'},
    {'a_variable_of_the_users': 1},
]
MATTER = [
    {'optim_wrapper__optimizer__lr': 1e-4},
    {'optim_wrapper__type': 'AmpOptimWrapper'},
    {'train_dataloader__batch_size': 8},
    {'train_dataloader__dataset__val_ratio': 0},
    {'train_cfg__max_epochs': 7},
    {'model__neck__aux_loss': None},
    {'model__backbone__pretrained': 'a/r3d18_k400.pth'},
    {'load_from': 'a/r3d18_k400.pth'},
    {'default_hooks__checkpoint__save_best': 'acc/WAR'},
    {'custom_hooks': [dict(type='ClassCountsHook'), dict(type='EMAHook')]},
    {
        'custom_hooks': [
            dict(type='ClassCountsHook'),
            dict(type='SafeDataHook', bad_data='resample'),
        ]
    },
    {'auto_scale_lr__enable': True},
    {'randomness__deterministic': True},
    {'test_dataloader__dataset__pipeline': []},
    {'train_dataloader__dataset__data_prefix': {'img': 'raw/faces/'}},
    {'train_dataloader__dataset__data_prefix': {'img': 'raw/aligned/'}},
]


def test_hash_stays(config):
    expected = config_hash(config)
    for change in NO_MATTER:
        assert config_hash(changed(config, **change)) == expected, change
    # Hooks that change no number.
    idle = ('ConsistencyHook', 'NonFiniteLossHook', 'ChannelsLastHook')
    hooks = [h for h in config['custom_hooks'] if h['type'] not in idle]
    assert len(hooks) < len(config['custom_hooks'])
    assert config_hash(changed(config, custom_hooks=hooks)) == expected
    # Where the weights lie.
    here, there, other = (
        config_hash(changed(config, model__backbone__pretrained=path))
        for path in ('/a/r3d.pth', 'b/c/r3d.pth', '/a/other.pth')
    )
    assert here == there != other
    # The stock tool forgets load_from when it resumes, kfold's note stays.
    first = changed(config, load_from='k400.pth', pretraining='k400')
    again = changed(config, resume=True, pretraining='k400')
    assert config_hash(first) == config_hash(again) != expected


def test_hash_changes(config):
    found = {config_hash(changed(config, **change)) for change in MATTER}
    assert len(found | {config_hash(config)}) == len(MATTER) + 1


@pytest.mark.parametrize(
    ('change', 'name'),
    [
        ({}, 'none'),
        ({'model__backbone__pretrained': '/a/own.pth'}, 'own'),
        ({'model__backbone__pretrained': 'k400'}, 'Kinetics-400'),
        ({'pretraining': 'Kinetics-400', 'load_from': 'x.pth'},) * 2,
        ({'load_from': 'https://x.org/y/swin.pth'}, 'swin'),
        ({'load_from': 'own.pth', 'resume': True}, 'none'),
        (
            {
                'model__backbone__backbone': dict(
                    type='mmpretrain.VisionTransformer',
                    init_cfg=[
                        dict(type='Constant', val=0),
                        dict(type='Pretrained', checkpoint='/w/clip.pth'),
                    ],
                )
            },
            'clip',
        ),
        (
            {'model__backbone': dict(type='timm.resnet18', pretrained=True)},
            'timm.resnet18',
        ),
        (
            {
                'model__backbone__pretrained': 'a.pth',
                'model__neck__pretrained': 'b.pth',
            },
            'a + b',
        ),
    ],
)
def test_pretraining(config, change, name):
    if isinstance(name, dict):
        name = name['pretraining']
    assert pretraining_of(changed(config, **change)) == name


class Tested:
    """A data set, as far as it matters."""

    __test__ = False  # by pytest

    def __init__(self, name='dfew', subset=None, fold=None, copy=''):
        self.metainfo = dict(dataset_name=name)
        self.subset, self.fold, self.copy = subset, fold, copy


def training(config, epoch=6, dataset=None, **change):
    """A training as the checkpoint of an epoch tells it."""
    live = Config(changed(config, **change))
    facts = training_facts(live, dataset or Tested())
    meta = dict(seed=3, epoch=epoch, iter=60 * epoch)
    return Training.from_meta({**meta, FACTS: json.loads(json.dumps(facts))})


def test_facts_of_a_training(config):
    found = training(config, method='mine', load_from='a/k400.pth')
    assert found.config_hash == config_hash(
        changed(config, load_from='k400.pth')
    )
    assert found.method == 'mine' and found.pretraining == 'Kinetics-400'
    assert (found.seed, found.epoch, found.max_epochs) == (3, 6, 6)
    assert found.val_ratio == 0.1 and found.processes == 1
    # A resumed training has another load_from, and keeps what it says.
    facts = dict(pretraining='Kinetics-400', commits=['a1'], dataset='dfew')
    again = training_facts(
        Config(changed(config, load_from='epoch_2.pth')),
        Tested(),
        before={FACTS: facts},
    )
    assert again['config_hash'] == found.config_hash
    assert again['pretraining'] == 'Kinetics-400'


@pytest.mark.parametrize(
    'change',
    [
        dict(dataset='ferv39k'),
        dict(fold=2),
        dict(subset='War'),
        dict(copy='Clip/other'),
        dict(class_counts=[8, 1]),
    ],
    ids=str,
)
def test_a_training_is_resumed_on_its_own_data(change):
    facts = dict(dataset='dfew', fold=1, class_counts=[8, 4])
    facts |= dict(subset='Daily', copy='Clip/clip_224x224')
    before = Training(**facts)
    before.check_resumed(facts)
    Training().check_resumed(facts)  # of a foreign checkpoint
    before.check_resumed({**facts, 'copy': None, 'class_counts': None})
    with pytest.raises(DataError, match=f'had {[*change][0]} '):
        before.check_resumed({**facts, **change})


def test_selection(config):
    best, last = 'w/best_acc_UAR_epoch_5.pth', 'w/epoch_6.pth'
    assert training(config, 5).selection(best) == 'val'
    split = dict(val_dataloader__dataset__split='test')
    assert training(config, 5, **split).selection(best) == 'test'
    assert training(config).selection(last) == 'last'
    assert training(config).selection(None) == 'last'
    assert training(config, 5).selection('w/epoch_5.pth') == 'other'
    # The last epoch may be the best one: the rule is what counts.
    assert training(config).selection('best_acc_UAR_epoch_6.pth') == 'val'
    for name in (best, last, None):
        assert Training().selection(name) == 'other'
    # On other data sets.
    kind = dict(type='VideoDataset', ann_file='val.txt')
    same = dict(val_dataloader__dataset=kind, test_dataloader__dataset=kind)
    assert training(config, **same).selection('best_x.pth') == 'test'
    apart = {**same, 'test_dataloader__dataset': {**kind, 'ann_file': 't'}}
    assert training(config, **apart).selection('best_x.pth') == 'other'
    # By iterations.
    loop = dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=360))
    assert training(config, 6, **loop).selection('iter_360.pth') == 'last'
    assert training(config, 5, **loop).selection('iter_300.pth') == 'other'
    assert training(config, 6, **loop).max_epochs is None


@pytest.mark.parametrize(
    'meta',
    [
        None,
        {},
        {'epoch': 3},
        {'cfg': 'a = ('},
        {FACTS: 'x'},
        {FACTS: dict(config_hash=3)},
        {FACTS: dict(commits='abc')},
        {FACTS: dict(max_epochs=True)},
        {FACTS: dict(class_counts=[1.5])},
    ],
)
def test_a_checkpoint_that_says_nothing(meta):
    assert Training.from_meta(meta) == Training()
    assert Training().mismatch(Tested(fold=1)) == ''


def test_a_test_of_something_else_is_told(config):
    found = training(config, dataset=Tested(fold=2))
    assert 'test clips of fold 1' in found.mismatch(Tested(fold=1))
    for fold in ('2', None):
        assert found.mismatch(Tested(fold=fold)) == ''
    slice_ = Tested()
    slice_.split = 'val'
    assert 'val split' in training(config).mismatch(slice_)
    found = training(config, dataset=Tested('FERV39k', 'all'))
    assert found.mismatch(Tested('FERV39k', 'all')) == ''
    text = 'trained on subset all and is tested on Crime'
    assert text in found.mismatch(Tested('FERV39k', 'Crime'))
    assert 'dataset ferv39k and is tested on dfew; the' in found.mismatch(
        Tested()
    )
    found = training(config, dataset=Tested(copy='Clip/faces'))
    for place in ('Clip/faces', ''):
        assert found.mismatch(Tested(copy=place)) == ''
    assert training(config).mismatch(Tested(copy='Clip/faces')) == ''
    text = 'on copy Clip/faces and is tested on Clip/16f'
    assert text in found.mismatch(Tested(copy='Clip/16f'))


def test_facts_keep_the_commits_of_all_parts(monkeypatch, config):
    commits = iter(['a1', 'a1', 'b2-dirty', ''])
    monkeypatch.setattr(module, 'git_commit', lambda config: next(commits))
    facts, found = None, []
    for _ in range(4):
        before = facts and {FACTS: facts}
        facts = training_facts(Config(config), Tested(), before=before)
        found.append(facts['commits'])
    assert found[0] == found[1] == ['a1']
    assert found[-1] == ['a1', 'b2-dirty', 'no commit']
