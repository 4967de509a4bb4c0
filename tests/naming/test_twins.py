"""The pure-Python configs equal the text configs, option by option."""

import runpy
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from textwrap import indent

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.engine.launch import stock_tool
from micacl_mm.registry import MODELS

from ..mixing.examples import SMALL
from ..models.helpers import samples
from .twins import (
    EXAMPLES,
    FACES,
    LEAVES,
    NEW,
    OPTIONS,
    PATHS,
    TEXT,
    differences,
    load,
    named,
)

#: Overrides that make a model small, by the name of its leaf.
NARROW = {
    'model.backbone.base_channels': 8,
    'model.neck.necks.0.in_channels': 64,
    'model.neck.necks.1.in_channels': 64,
}
SMALLER = {
    **SMALL,
    **dict.fromkeys(('micacl_dfew', 'micacl_ferv39k'), NARROW),
    'baseline_dfew': {
        'model.backbone.base_channels': 8,
        'model.cls_head.in_channels': 64,
    },
}


@pytest.fixture(autouse=True)
def _libraries(request):
    """Skip what names a library that is not here."""
    arguments = getattr(request.node, 'callspec', None)
    if arguments and 'clip' in arguments.params.get('path', ''):
        pytest.importorskip('mmpretrain')


def test_every_text_config_has_a_twin_in_a_package():
    files = {path.relative_to(NEW) for path in NEW.rglob('*.py')}
    assert {p.as_posix() for p in files if p.name != '__init__.py'} == set(
        PATHS
    )
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
        config.merge_from_dict(SMALLER.get(Path(path).stem, {}))
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
    assert differences(load(dumped), load(TEXT / path)) == []
    again = Config.fromfile(dumped)
    assert again.custom_imports.imports == ['micacl_mm']
    assert again.model.neck.type.startswith('micacl_mm.')


GUEST = """
from mmengine.config import read_base
with read_base():
    from micacl_mm.configs.mixing.{} import *
model.update(
    neck=dict(aux_loss=dict(num_classes=7)),
    cls_head=dict(num_classes=7),
)
"""


@pytest.mark.parametrize('path', sorted({*EXAMPLES} - {*FACES}))
def test_a_guest_sets_the_number_of_classes(tmp_path, path):
    """By the lines that the examples give."""
    name = Path(path).stem
    lines = GUEST[GUEST.index('model.update') :]
    doc = import_module(f'micacl_mm.configs.mixing.{name}').__doc__
    assert indent(lines, '    ') in doc
    (tmp_path / 'own.py').write_text(GUEST.format(name))
    new, text = load(tmp_path / 'own.py'), load(TEXT / path)
    assert {where for where, *_ in differences(new, text)} == {
        '.model.neck.aux_loss.num_classes',
        '.model.cls_head.num_classes',
    }


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
