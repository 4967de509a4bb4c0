"""From a folder for each class to a tested model, as the page has it."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.cli import main
from micacl_mm.registry import DATASETS, MODELS
from tests.sets import OWN, write_own

from .models.helpers import samples

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/own_data.md').read_text()
TEXT = ROOT / 'configs'
LEAF = 'micacl_folder.py'
CHECKPOINT = 'work_dirs/micacl_folder/best_acc_UAR_epoch_'
CLASSES = [*OWN]  # in natural order, which is not that of the letters
LOADERS = ('train', 'val', 'test')
TINY = [
    'model.backbone.base_channels=4',
    'model.neck.necks.0.in_channels=32',
    'model.neck.necks.1.in_channels=32',
    'train_cfg.max_epochs=1',
    *(f'{name}_dataloader.num_workers=0' for name in LOADERS),
    *(f'{name}_dataloader.persistent_workers=False' for name in LOADERS),
]
#: The step of resizing, which comes one earlier for frames.
SMALL = '{}_dataloader.dataset.pipeline.{}.scale=(16,16)'


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Lay out classes of empty clips and name them to the config."""

    def lay_out(names, **options):
        for name in names:
            for number in range(4):
                path = tmp_path / f'own/{name}/{number}.mp4'
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b'x')
        for key, value in dict(options, DATA_ROOT=tmp_path / 'own').items():
            monkeypatch.setenv(f'MICACL_{key}', str(value))
        return tmp_path / 'own'

    return lay_out


@pytest.mark.parametrize('number', [2, 11])
def test_the_folders_say_how_many_classes_there_are(own, number):
    own([f'k{i}' for i in range(number)])
    config = Config.fromfile(TEXT / LEAF)
    assert config.classes == [f'k{i}' for i in range(number)]
    config.merge_from_dict(
        {
            'model.backbone.base_channels': 4,
            'model.neck.necks.0.in_channels': 32,
            'model.neck.necks.1.in_channels': 32,
        }
    )
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    assert model.cls_head.num_classes == number
    train = DATASETS.build({**config.train_dataloader.dataset, 'pipeline': []})
    for loss in (model.neck.aux_loss, model.cls_head.loss_cls):
        loss.set_class_counts(train.class_counts)
    # Also for a last batch of one clip.
    for labels in ([0, number - 1], [0]):
        clips = torch.rand(len(labels), 4, 3, 4, 32, 32)
        losses = model(clips, samples(labels), mode='loss')
        total, _ = model.parse_losses(losses)
        total.backward()
        assert total.isfinite() and 'loss_mccl' in losses
    found = model.eval()(clips, samples([0]), mode='predict')[0].pred_score
    assert found.shape == (number,)


def test_a_stored_config_needs_the_folder_no_more(own, tmp_path):
    root = own(['b', 'a', 'c'], CLASSES='c,a,b')
    config = Config.fromfile(TEXT / LEAF)
    config.dump(tmp_path / 'stored.py')
    before = Config.fromfile(tmp_path / 'stored.py')
    assert before['num_classes'] == 3
    assert before['model']['cls_head']['num_classes'] == 3
    assert before['model']['neck']['aux_loss']['num_classes'] == 3
    assert 'find_classes' not in (tmp_path / 'stored.py').read_text()
    assert before['test_dataloader']['dataset']['classes'] == ['c', 'a', 'b']
    shutil.rmtree(root)
    after = Config.fromfile(tmp_path / 'stored.py')
    assert after.to_dict() == before.to_dict()
    # The folder has got another class since.
    own(['a', 'b', 'c', 'd'])
    init_default_scope('mmaction')
    with pytest.raises(ValueError, match='unlike: d'):
        DATASETS.build({**config.test_dataloader.dataset, 'pipeline': []})


def test_options_reach_the_dataset(own, monkeypatch):
    pattern = r'/(\d)|it\'s "quoted"'
    root = own(
        ['a', 'b'],
        CLASSES='b,a',
        VAL_RATIO='0',
        TEST_RATIO='0.4',
        GROUP_PATTERN=pattern,
        MISSING='drop',
        SOURCE='videos',
    )
    config = Config.fromfile(TEXT / LEAF)
    for name in LOADERS:
        dataset = config[f'{name}_dataloader'].dataset
        assert dataset.data_root == str(root)
        assert (dataset.classes, dataset.source) == (['b', 'a'], 'videos')
        assert (dataset.val_ratio, dataset.test_ratio) == (0, 0.4)
        assert dataset.group_pattern == pattern
        assert dataset.missing == 'drop'
    assert config.val_dataloader.dataset.split == 'test'
    monkeypatch.setenv('MICACL_DATA_ROOT', str(root / 'gone'))
    for name in ('CLASSES', 'SOURCE', 'GROUP_PATTERN', 'TEST_RATIO'):
        monkeypatch.setenv(f'MICACL_{name}', '')  # as if it were not set
    dataset = Config.fromfile(TEXT / LEAF).val_dataloader.dataset
    assert (dataset.classes, dataset.group_pattern) == (None, None)
    assert dataset.test_ratio == 0.2


def page_command(tool):
    """The first command of the page for a tool."""
    return re.search(rf'^micacl ({tool} .*)$', PAGE, re.M)[1]


def run(place, command, *options):
    """Run a command of the page on our clips and on a tiny model; its log."""
    parts = shlex.split(command.replace('/data/faces', 'faces'))
    for index, part in enumerate(parts):
        if part.startswith(CHECKPOINT):
            (path,) = place.glob(f'{CHECKPOINT}*.pth')
            parts[index] = str(path)
    assert main([*parts, '--cfg-options', *TINY, *options]) == 0
    logs = place.glob('work_dirs/micacl_folder/*/*.log')
    return max(logs, key=os.path.getmtime).read_text()


@pytest.mark.slow
@pytest.mark.parametrize('frames', [False, True])
def test_the_commands_of_the_page(tmp_path, monkeypatch, frames):
    for name in ('DATA_ROOT', 'SOURCE', 'CLASSES'):  # which main sets
        monkeypatch.setenv(f'MICACL_{name}', '')
    monkeypatch.chdir(tmp_path)
    write_own(tmp_path / 'faces', frames=frames)
    balanced = re.search(r'`--cfg-options (.*ClassBalancedSampler)`', PAGE)[1]
    options = balanced.split() if frames else []
    options += [
        SMALL.format(name, 3 + (name == 'train') - frames) for name in LOADERS
    ]
    log = run(tmp_path, page_command('train'), *options)
    # 3, 2 and 1 clips are for the test, one of each class for validation.
    lines = re.findall(r'^(?:ClassFolderD|class counts of).*$', PAGE, re.M)
    for line in lines:
        assert line.replace('videos', 'frames' if frames else 'videos') in log
    assert len(lines) == 2 and 'loss_mccl' in log

    # Of the config that the training has stored, or by name.
    tests = re.findall(r'^micacl (test .*)$', PAGE, re.M)
    log = run(tmp_path, tests[frames], *options)
    (path,) = tmp_path.glob('work_dirs/micacl_folder/*/result.json')
    result = json.loads(path.read_text())
    assert result['classes'] == CLASSES
    assert result['dataset'] == 'folder-faces'
    table = re.findall(r'^(\w+) +\d+(?: +[\d.-]+){3}$', log, re.M)
    assert table == CLASSES and '6 clips, percent: UAR' in log
    matrix = torch.tensor(result['confusion_matrix'])
    assert matrix.sum(1).tolist() == result['clips_per_class'] == [3, 2, 1]
    assert (path.parent / 'confusion_matrix.png').stat().st_size > 5000

    if frames:
        return
    clip = next((tmp_path / 'faces' / CLASSES[0]).iterdir())
    command = page_command('infer').replace('new.mp4', str(clip))
    run(tmp_path, command.replace('centerface', 'none'))
    found = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert found['classes'] == CLASSES and len(found['predictions']) == 1
