"""The pure-Python configs equal the text configs, option by option."""

import runpy
from argparse import Namespace
from functools import lru_cache
from importlib import import_module
from itertools import chain
from pathlib import Path

import mmaction.registry
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope
from mmengine.utils import get_object_from_string

from micacl_mm.engine.launch import stock_tool
from micacl_mm.registry import MODELS

from ..mixing.examples import SMALL
from ..models.helpers import samples
from .conftest import ROOT

TEXT, NEW = ROOT / 'configs', ROOT / 'micacl_mm/configs'
PATHS = sorted(
    path.relative_to(TEXT).as_posix() for path in TEXT.rglob('*.py')
)
RECIPES = [path for path in PATHS if '/' not in path]
EXAMPLES = [path for path in PATHS if path.startswith('mixing/')]
LEAVES = [*RECIPES, *EXAMPLES]
#: Those with the settings of a set of faces.
FACES = [path for path in LEAVES if not path.endswith('_actions.py')]
OPTIONS = dict(
    DATA_ROOT='/faces',
    FOLD='3',
    SUBSET='Crime',
    SOURCE='videos',
    VAL_RATIO='0',
    MISSING='drop',
    CLIP_ROOT='aligned',
)
CLASSES = ('type', 'constructor')  # keys whose values are classes


@pytest.fixture(autouse=True)
def _libraries(request):
    """Skip what names a library that is not here."""
    arguments = getattr(request.node, 'callspec', None)
    if arguments and 'clip' in arguments.params.get('path', ''):
        pytest.importorskip('mmpretrain')


@lru_cache
def registered(name):
    """What a bare name means: MMAction2's class, or else MMEngine's."""
    for scope in ('mmaction', 'mmengine'):
        found = {
            registry.module_dict[name]
            for registry in vars(mmaction.registry).values()
            if isinstance(registry, Registry)
            and registry.scope == scope
            and name in registry.module_dict
        }
        if found:
            (cls,) = found
            return cls
    raise AssertionError(f'{name} is registered nowhere')


def named(value, key=None):
    """Bring classes and dotted names to the bare names of text configs."""
    if isinstance(value, dict):
        return {key: named(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(named(item) for item in value)
    if key in CLASSES and isinstance(value, str) and '.' in value:
        # MMPretrain's names, alone in text configs, are not quite dotted.
        value = get_object_from_string(value) or value
    if isinstance(value, type):
        if value.__module__.startswith('mmpretrain.'):
            name = f'mmpretrain.{value.__name__}'
            assert MODELS.get(name) is value
            return name
        assert registered(value.__name__) is value
        return value.__name__
    return value


def load(path):
    config = Config.fromfile(path)
    return named({key: config[key] for key in config.to_dict()})


def differences(new, text, where=''):
    """List the places where two configs differ, for a readable failure."""
    if isinstance(new, dict) and isinstance(text, dict):
        pairs = [
            (new.get(key, 'absent'), text.get(key, 'absent'), f'{where}.{key}')
            for key in chain(text, new.keys() - text.keys())
        ]
    elif (
        isinstance(new, (list, tuple))
        and type(new) is type(text)
        and len(new) == len(text)
    ):
        pairs = [
            (*pair, f'{where}[{place}]')
            for place, pair in enumerate(zip(new, text, strict=True))
        ]
    else:
        return [] if new == text else [(where, new, text)]
    return list(chain(*(differences(*pair) for pair in pairs)))


def test_every_text_config_has_a_twin_in_a_package():
    files = {path.relative_to(NEW) for path in NEW.rglob('*.py')}
    assert {str(p) for p in files if p.name != '__init__.py'} == set(PATHS)
    assert all(path.parent / '__init__.py' in files for path in files)


@pytest.mark.parametrize('options', [{}, OPTIONS], ids=['default', 'options'])
@pytest.mark.parametrize('path', PATHS)
def test_new_style_equals_text(monkeypatch, path, options):
    for name, value in options.items():
        monkeypatch.setenv(f'MICACL_{name}', value)
    new, text = load(NEW / path), load(TEXT / path)
    assert len(text) > 0 and differences(new, text) == []


def test_differences_are_seen():
    text, new = load(TEXT / LEAVES[0]), load(TEXT / LEAVES[0])
    new['model']['neck']['num_instances'] = 5
    new['train_pipeline'][0]['type'] = 'Other'
    new['added'] = None
    assert {where for where, *_ in differences(new, text)} == {
        '.model.neck.num_instances',
        '.train_pipeline[0].type',
        '.added',
    }


@pytest.mark.parametrize('path', FACES)
def test_options_reach_the_dataset(monkeypatch, path):
    for name, value in OPTIONS.items():
        monkeypatch.setenv(f'MICACL_{name}', value)
    config = Config.fromfile(NEW / path)
    dataset = config.val_dataloader.dataset
    assert (dataset.data_root, dataset.clip_root) == ('/faces', 'aligned')
    assert (dataset.source, dataset.missing) == ('videos', 'drop')
    assert (dataset.val_ratio, dataset.split) == (0, 'test')
    assert dataset.get('subset', 'Crime') == 'Crime'
    assert dataset.get('fold', 3) == 3
    # Set to nothing is not set.
    for name in OPTIONS:
        monkeypatch.setenv(f'MICACL_{name}', '')
    unset = load(NEW / path)
    for name in OPTIONS:
        monkeypatch.delenv(f'MICACL_{name}')
    assert unset == load(NEW / path)


@pytest.mark.parametrize('path', LEAVES)
def test_both_forms_build_the_same_model(path):
    models = []
    for folder in (NEW, TEXT):
        config = Config.fromfile(folder / path)
        config.merge_from_dict(SMALL.get(Path(path).stem, {}))
        init_default_scope(config.default_scope)
        torch.manual_seed(0)
        models.append(MODELS.build(config.model).eval())
    new, text = (model.state_dict() for model in models)
    assert list(new) == list(text)
    assert all(torch.equal(new[name], text[name]) for name in text)
    flat = type(models[0]).__name__ == 'Recognizer2D'
    clips = torch.rand(2, *((8, 3) if flat else (4, 3, 4)), 32, 32)
    with torch.no_grad():
        found, expected = (
            torch.stack(
                [
                    sample.pred_score
                    for sample in model(clips, samples([0, 1]), mode='predict')
                ]
            )
            for model in models
        )
    assert torch.equal(found, expected) and found.isfinite().all()


@pytest.mark.parametrize('path', LEAVES)
def test_a_dumped_config_is_the_same_and_brings_the_cures(tmp_path, path):
    config = Config.fromfile(NEW / path)
    dumped = tmp_path / 'dumped.py'
    config.dump(dumped)
    assert dumped.read_text() == config.pretty_text
    assert differences(load(dumped), load(TEXT / path)) == []
    again = Config.fromfile(dumped)
    assert again.custom_imports.imports == ['micacl_mm']
    assert again.model.neck.type.startswith('micacl_mm.')


@pytest.mark.parametrize('path', PATHS)
def test_fragments_are_plain_python_too(path):
    module = path.removesuffix('.py').replace('/', '.')
    assert import_module(f'micacl_mm.configs.{module}').__doc__


def test_the_stock_tool_changes_new_style_configs_as_it_does_text():
    tool = runpy.run_path(str(stock_tool('train')))
    options = {'model.neck.num_instances': 2, 'data_root': '/faces'}
    given = Namespace(
        config='x.py',
        work_dir='w',
        no_validate=True,
        launcher='none',
        amp=True,
        auto_scale_lr=True,
        resume='auto',
        seed=1,
        diff_rank_seed=False,
        deterministic=True,
        cfg_options=options,
    )
    new, text = (
        tool['merge_args'](Config.fromfile(folder / LEAVES[0]), given)
        for folder in (NEW, TEXT)
    )
    assert new.optim_wrapper.type == 'AmpOptimWrapper'
    new, text = (
        named({key: config[key] for key in config.to_dict()})
        for config in (new, text)
    )
    assert differences(new, text) == []
