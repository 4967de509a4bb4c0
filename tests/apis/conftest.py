import os

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS
from tests.records.tiny import write_config, write_set

NECKS = """
_base_ = ['tiny.py']
model = dict(
    neck=dict(
        necks=[
            dict(type='GEIIM', in_channels=16),
            dict(type='WIAN', in_channels=16, out_channels=16),
        ],
    ),
)
"""


@pytest.fixture(scope='session')
def place(tmp_path_factory):
    """Folder of a tiny DFEW, a config and a checkpoint with dropout."""
    folder = tmp_path_factory.mktemp('apis')
    write_set(folder / 'set')
    write_config(folder)
    (folder / 'config.py').write_text(NECKS)
    os.environ['MICACL_DATA_ROOT'] = str(folder / 'set')
    try:
        cfg = Config.fromfile(folder / 'config.py')
    finally:
        del os.environ['MICACL_DATA_ROOT']
    cfg.dump(folder / 'config.py')
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for name, value in model.named_parameters():
        if 'norm' not in name and 'bn' not in name:
            torch.nn.init.normal_(value, std=0.2)
    model.neck.aux_loss.set_class_counts([4] * 7)
    meta = dict(dataset_meta=dict(classes=NAMES))
    state = dict(state_dict=model.state_dict(), meta=meta)
    torch.save(state, folder / 'model.pth')
    return folder


NAMES = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')
