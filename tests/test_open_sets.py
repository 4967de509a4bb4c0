"""Each open set is trained on for two epochs and tested, in its tree."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from micacl_mm.options import find_config
from micacl_mm.records.rows import DATASETS
from tests.sets import (
    open_clips,
    picture,
    write_clip,
    write_open_set,
    write_video,
)

pytestmark = pytest.mark.slow


def write(path, label):
    """A clip that shows its class by its colours, as a video or frames."""
    if path.suffix:
        write_video(path, [np.roll(picture(32, 32, label), k) for k in (1, 2)])
    else:
        write_clip(path, 2)


def small(work_dir):
    """The config of MICACL plus, made small."""
    cfg = Config.fromfile(find_config('leaderboard/micacl_plus'))
    loader = dict(batch_size=8, num_workers=0, persistent_workers=False)
    cfg.merge_from_dict(
        {
            'model.backbone.base_channels': 4,
            'model.neck.necks.0.in_channels': 32,
            'model.neck.necks.1.in_channels': 32,
            'model.neck.necks.1.out_channels': 32,
            'model.neck.aux_loss.in_channels': 32,
            'model.cls_head.in_channels': 32,
            'train_cfg.max_epochs': 2,
            'work_dir': str(work_dir),
            **{f'{part}_dataloader': loader for part in ('val', 'test')},
            'train_dataloader': dict(loader, drop_last=False),
        }
    )
    for part in ('train', 'val', 'test'):
        for step in cfg[f'{part}_dataloader'].dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (16, 16)
    return cfg


@pytest.mark.parametrize(
    'name, source',
    [
        ('cremad', 'videos'),
        ('cremad_lt', 'frames'),
        ('ravdess', 'videos'),
        ('mafw', 'frames'),
        ('caer', 'videos'),
    ],
)
def test_two_epochs_and_a_test(name, source, tmp_path, monkeypatch):
    kind, root = name.removesuffix('_lt'), tmp_path / 'set'
    write_open_set(root, kind, write, videos=source == 'videos')
    (root / 'synthetic.json').write_text('{}')
    for key, value in (
        *(('SET', name), ('DATA_ROOT', str(root)), ('SOURCE', source)),
        *(('VAL_RATIO', '0.4'), ('IMBALANCE', '2')),
    ):
        monkeypatch.setenv(f'MICACL_{key}', value)
    runner = Runner.from_cfg(small(tmp_path / 'work'))
    runner.train()
    metrics = runner.test()
    (path,) = (tmp_path / 'work').rglob('result.json')
    record = json.loads(path.read_text())
    classes = DATASETS[name].CLASSES
    assert tuple(record['classes']) == classes
    counts = torch.tensor(record['confusion_matrix']).sum(1).tolist()
    assert counts == [1] * len(classes)
    assert record['metrics']['acc/UAR'] == pytest.approx(metrics['acc/UAR'])
    dataset = runner.train_dataloader.dataset
    people = {dataset.person(row.video_id) for row in dataset.split_rows()}
    clips = len(open_clips(kind)['train'])
    if kind in ('cremad', 'ravdess'):  # one of two actors is held out
        assert len(people) == 1 and len(dataset) <= clips // 2
    state = torch.load(tmp_path / 'work/epoch_2.pth', weights_only=True)
    found = state['state_dict']['neck.aux_loss.class_counts'].tolist()
    assert found == dataset.class_counts
