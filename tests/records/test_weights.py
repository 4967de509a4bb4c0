"""No command takes a checkpoint of another model: a gate for every way in."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.apis import DFERInferencer
from micacl_mm.apis.features import collect_features
from micacl_mm.cli import main
from micacl_mm.doctor.configs import checkpoint as doctor
from micacl_mm.doctor.core import FAIL, Case
from micacl_mm.hooks import ResultHook
from micacl_mm.records.training import FACTS
from micacl_mm.registry import MODELS

from .tiny import write_config

CLASSES = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A config, its model and its checkpoint."""
    folder = tmp_path_factory.mktemp('weights')
    write_config(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MICACL_DATA_ROOT', str(folder))
        cfg = Config.fromfile(folder / 'tiny.py')
    cfg.dump(folder / 'config.py')
    init_default_scope('mmaction')
    model = MODELS.build(cfg.model)
    meta = dict(dataset_meta=dict(classes=CLASSES))
    meta[FACTS] = dict(num_instances=4)
    whole = dict(state_dict=model.state_dict(), meta=meta)
    return SimpleNamespace(folder=folder, cfg=cfg, model=model, whole=whole)


BIAS = 'cls_head.fc_cls.bias'
#: What a checkpoint may hold; the first three fit nothing.
KINDS = {
    'nothing': lambda state: {'a.b': torch.zeros(3)},
    'empty': lambda state: {},
    'backbone alone': lambda state: {
        k.removeprefix('backbone.'): v
        for k, v in state.items()
        if k.startswith('backbone.')
    },
    'part': lambda state: {k: v for k, v in state.items() if k != BIAS},
    'more': lambda state: {**state, 'neck.more': torch.zeros(1)},
    'another head': lambda state: {
        k: v[:5] if k.startswith('cls_head.') else v for k, v in state.items()
    },
    'other bags': lambda state: state,  # the sizes of a chain do not tell
}


def save(place, kind):
    state = KINDS[kind](place.whole['state_dict'])
    meta = dict(place.whole['meta'])
    if kind == 'other bags':
        meta[FACTS] = dict(num_instances=2)
    path = place.folder / f'{kind}.pth'
    torch.save(dict(state_dict=state, meta=meta), path)
    return path


def load(place, path, **cfg):
    """What the runner does before and after it loads weights."""
    hook = ResultHook()
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo={}))
    runner = SimpleNamespace(
        model=place.model, cfg=cfg, test_dataloader=loader
    )
    checkpoint = torch.load(path, weights_only=True)
    hook.after_load_checkpoint(runner, checkpoint)
    return hook, runner


def to_test(place, path):
    hook, runner = load(place, path)
    hook.before_test(runner)


def to_resume(place, path):
    load(place, path, resume=True)


def to_infer(place, path):
    DFERInferencer(place.folder / 'config.py', path, device='cpu')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('way', [to_test, to_resume, to_infer])
def test_what_does_not_fit_is_refused(place, way, kind):
    with pytest.raises(ValueError, match=r'checkpoint (does not fit|fits no)'):
        way(place, save(place, kind))


@pytest.mark.parametrize('kind', ['part', 'other bags'])
def test_plot_export_and_doctor_refuse_it_too(place, kind, capsys):
    config, path = str(place.folder / 'config.py'), str(save(place, kind))
    with pytest.raises(ValueError, match='checkpoint does not fit'):
        collect_features(place.cfg, path)
    assert main(['export', config, path, '--format', 'program']) == 2
    assert 'the checkpoint does not fit' in capsys.readouterr().err
    case = Case(SimpleNamespace(checkpoint=path), config=place.cfg)
    (finding,) = doctor(case)
    assert finding.status == FAIL and 'does not fit' in str(finding)


def test_a_training_starts_from_weights_of_which_some_fit(place):
    for kind in KINDS:
        path = save(place, kind)
        if kind in ('nothing', 'empty', 'backbone alone'):
            with pytest.raises(ValueError, match='fits no weight'):
                load(place, path)
        else:
            load(place, path)


def test_what_fits_is_taken(place):
    """Also of a parallel training, and without a word on the training."""
    bare = {f'module.{k}': v for k, v in place.whole['state_dict'].items()}
    for name, whole in (('whole', place.whole), ('bare', bare)):
        torch.save(whole, place.folder / f'{name}.pth')
        for way in (to_test, to_resume, to_infer):
            way(place, place.folder / f'{name}.pth')
