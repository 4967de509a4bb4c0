"""Data options: from the command line to the variable of a config."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from micacl_mm.errors import ConfigError, MissingFileError
from micacl_mm.options import (
    OPTIONS,
    find_config,
    option,
    take_options,
    variable,
)

CONFIG = """
_base_ = []
from micacl_mm.options import option

data_root = option('data_root', 'data/DFEW')
fold = option('fold', 1)
val_ratio = option('val_ratio', 0.1)
clip_root = option('clip_root')
split = dict(data_root=data_root, fold=fold)
"""


@pytest.fixture
def read(tmp_path):
    (tmp_path / 'base.py').write_text(CONFIG)
    child = "_base_ = './base.py'\nmore = dict(root=_base_.data_root)\n"
    (tmp_path / 'child.py').write_text(child)

    def read():
        cfg = Config.fromfile(tmp_path / 'child.py')
        cfg.dump(tmp_path / 'copy.py')
        assert Config.fromfile(tmp_path / 'copy.py').to_dict() == cfg.to_dict()
        return cfg

    return read


@pytest.mark.parametrize(
    'root',
    ["/data/O'Brien/DFEW", r'C:\data\new\DFEW', r'\g<0>', '{{x}}', '"'],
)
def test_paths_arrive_as_they_are(read, root):
    take_options(['--data-root', root, '--fold=3'])
    cfg = read()
    assert cfg.data_root == cfg.split.data_root == cfg.more.root == root
    assert cfg.fold == cfg.split.fold == 3


def test_defaults_also_for_empty_variables(read, monkeypatch):
    for name in OPTIONS:
        monkeypatch.setenv(variable(name), '')
    cfg = read()
    assert (cfg.data_root, cfg.fold, cfg.val_ratio) == ('data/DFEW', 1, 0.1)
    assert cfg.clip_root is None
    take_options([])
    assert not [name for name in OPTIONS if variable(name) in os.environ]


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        *(('fold', text) for text in ('fold1', '1.0', '-1', '1e0', '')),
        *(('val_ratio', text) for text in ('10%', '1', '-0.1', 'nan', '0,1')),
        ('source', 'video'),
        ('missing', 'Drop'),
        ('set', '../x'),
        ('group_pattern', '('),
    ],
)
def test_wrong_values_are_named(read, monkeypatch, name, text):
    flag = f'--{name.replace("_", "-")}'
    with pytest.raises(ConfigError, match=flag):
        take_options(['x.py', flag, text])
    if text:
        monkeypatch.setenv(variable(name), text)
        for read in (lambda: option(name), lambda: take_options(['x.py'])):
            with pytest.raises(ConfigError, match=re.escape(repr(text))):
                read()


def test_leading_zeros_are_decimal():
    take_options(['--fold', '01'])
    assert option('fold') == 1


def test_positionals_do_not_fall_to_the_option_before():
    for given, expected in (
        ('--resume --data-root D x.py', 'x.py --resume'),
        ('--cfg-options a=1 --fold=2 x.py', 'x.py --cfg-options a=1'),
        (
            'x.py --cfg-options a=1 --fold 2 y.pth',
            'x.py y.pth --cfg-options a=1',
        ),
        ('x.py --resume z.pth --fold 2 --amp', 'x.py --resume z.pth --amp'),
    ):
        assert take_options(given.split()) == expected.split()
    with pytest.raises(ConfigError, match='--fold needs a value'):
        take_options(['x.py', '--fold'])


def test_shipped_configs_have_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('micacl_dfew', 'micacl_dfew.py', 'configs/micacl_dfew.py'):
        assert Path(find_config(name)).name == 'micacl_dfew.py'
    (tmp_path / 'mine.py').touch()
    assert find_config('mine.py') == 'mine.py'
    with pytest.raises(MissingFileError, match='one of: .*micacl_ferv39k'):
        find_config('nothing')


def test_import_is_light_and_registers():
    """The import, then what the registries and the package know."""
    script = """
import sys, micacl_mm
heavy = ('micacl_mm.synthetic', 'lmdb', 'av', 'matplotlib', 'onnx', 'decord')
assert not {*heavy} & {*sys.modules}, {*heavy} & {*sys.modules}
from mmaction.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
for registry, name in (
    (MODELS, 'GEIIM'), (DATASETS, 'DFEWDataset'), (HOOKS, 'ResultHook'),
    (TRANSFORMS, 'SampleInstances'), (METRICS, 'RecallMetric'),
):
    assert registry.get(name) is registry.get(f'micacl_mm.{name}')
    assert registry.get(name) is getattr(micacl_mm, name)
assert 'micacl_mm.synthetic' not in sys.modules
assert callable(micacl_mm.explain) and 'DFERInferencer' in dir(micacl_mm)
"""
    found = subprocess.run(
        [sys.executable, '-c', script],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])},
    )
    assert found.returncode == 0, found.stderr[-2000:]
