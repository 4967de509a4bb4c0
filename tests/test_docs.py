"""What the documentation shows is what the code does."""

import ast
import contextlib
import json
import re
import shlex
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.cli import COMMANDS, main
from micacl_mm.models.necks import BaseBagNeck
from micacl_mm.options import help_options
from micacl_mm.registry import HOOKS, MODELS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT)
    for path in [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]
)
BLOCKS = [
    pytest.param(dedent(block), id=f'{page}-{i}')
    for page in PAGES
    for i, block in enumerate(
        re.findall(r'```python\n(.*?)```', (ROOT / page).read_text(), re.S)
    )
]


@pytest.mark.parametrize('block', BLOCKS)
def test_python_blocks_do_what_they_show(monkeypatch, block, tmp_path):
    monkeypatch.chdir(tmp_path)
    init_default_scope('mmaction')
    if 'read_base' in block:  # a config, which only MMEngine can run
        config = tmp_path / 'config.py'
        config.write_text(block)
        assert MODELS.build(Config.fromfile(config).model)
        return
    # Drawn in less time.
    block = block.replace('num_clips=100', 'num_clips=35, size=32')
    names = {}
    exec(compile(block, 'block', 'exec'), names)
    for statement in ast.parse(block).body:
        if isinstance(statement, ast.ClassDef):
            part = names[statement.name]
            if issubclass(part, BaseBagNeck):
                part(num_instances=4)(torch.rand(8, 3))
            else:
                part(num_classes=2).set_class_counts([3, 4])
        if not isinstance(statement, ast.Assign):
            continue
        value = eval(ast.unparse(statement.value), names)
        match statement.targets[0].id:
            case 'neck':
                assert isinstance(MODELS.build(value), BaseBagNeck)
            case 'model':
                for part in {'neck', 'backbone'} & set(value):
                    if part == 'backbone':
                        pytest.importorskip('mmpretrain')
                    assert MODELS.build(value[part])
            case 'custom_hooks':
                assert all(HOOKS.build(hook) for hook in value)


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding='utf-8')
    targets = re.findall(r'\]\(([^)#\s]+)[^)]*\)', text)
    targets += re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if '://' not in target:
            assert (ROOT / page.parent / target).exists(), target


def test_documented_commands_and_options_exist(capsys):
    helps = {}
    for page in PAGES:
        if page.name == 'CHANGELOG.md':
            continue
        text = (ROOT / page).read_text(encoding='utf-8')
        found = re.findall(r'(?m)(?:^ *|`)micacl ([a-z-]+)([^`\n]*)', text)
        for name, rest in found:
            assert name in COMMANDS, (page, name)
            if name not in helps:
                with contextlib.suppress(SystemExit):
                    main([name, '--help'])
                helps[name] = capsys.readouterr().out + help_options()
            for given in re.findall(r'(?<!\S)--[a-z-]+', rest):
                known = name == 'mm' or given in helps[name]
                assert known, (page, name, given)
    assert {'train', 'test', 'infer', 'kfold', 'export'} <= {*helps}


def test_the_tests_of_the_lowest_versions_are_there():
    script = (ROOT / 'tools/dev/test_versions.sh').read_text()
    names = re.findall(r'\btests/[\w/]+\.py', script)
    assert names and all((ROOT / name).is_file() for name in names)


def test_the_model_index():
    """Paths exist, names are unique, collections are defined and used."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    parts = [yaml.safe_load((ROOT / p).read_text()) for p in index['Import']]
    collections = [c for part in parts for c in part['Collections']]
    models = [model for part in parts for model in part['Models']]
    names = [collection['Name'] for collection in collections]
    assert sorted(names) == sorted({m['In Collection'] for m in models})
    assert len({model['Name'] for model in models}) == len(models)
    for collection in collections:
        assert (ROOT / collection['README']).is_file()
        assert collection['Paper']['URL'].startswith('https://arxiv.org/abs/')
    for model in models:
        assert (ROOT / model['Config']).is_file()
        assert model['Metadata']['Training Data'] and 'Weights' not in model
    indexed = {model['Config'] for model in models}
    ours = {f'configs/{p.name}' for p in ROOT.glob('configs/micacl_*.py')}
    # The demo's and one's own classes have no public training set.
    own = {'configs/micacl_demo.py', 'configs/micacl_folder.py'}
    assert ours - own <= indexed


def test_the_chinese_readme_is_equal():
    """Commands, figures, configs and links; comments are translated."""

    def parts(name):
        text = (ROOT / name).read_text(encoding='utf-8')
        code = re.findall(r'```(.*?)```', text, re.S)
        table = text.split('<!-- leaderboard:begin')[1].split(':end -->')[0]
        return (
            [re.sub(r'(?m)\s*#.*$', '', block) for block in code],
            re.findall(
                r'`([^`\n]+)`', re.sub('```.*?```', '', text, flags=re.S)
            ),
            table,
            {*re.findall(r'\]\(([^)]+)\)', text)}
            - {'README.md', 'README_zh-CN.md'},
        )

    assert parts('README.md') == parts('README_zh-CN.md')


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch, tmp_path):
    """Its commands in this process, which has imported the stack."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['micacl'])
    names = {}
    book = json.loads((ROOT / 'docs/quickstart.ipynb').read_text('utf-8'))
    for cell in book['cells']:
        text = ''.join(cell['source'])
        if cell['cell_type'] != 'code' or '!pip' in text:
            continue
        if text.startswith('!'):
            for line in text.splitlines():
                command, *words = shlex.split(line[1:])
                assert command == 'micacl' and main(words) == 0, line
        else:
            exec(compile(text, 'cell', 'exec'), names)
    assert (tmp_path / 'out/story.png').is_file()
