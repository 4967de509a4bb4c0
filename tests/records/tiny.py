"""A DFEW and a model so small that a training takes two iterations."""

from pathlib import Path

from tests.sets import write_dfew

ROOT = Path(__file__).parents[2]
#: Our demo's config with a model of few weights.
TINY = f"""
_base_ = [{str(ROOT / 'configs/micacl_demo.py')!r}]
model = dict(
    backbone=dict(base_channels=2),
    neck=dict(
        _delete_=True,
        type='NeckChain',
        num_instances=4,
        necks=[dict(type='WIAN', in_channels=16, out_channels=16)],
        aux_loss=dict(type='MCCLLoss', num_classes=7, in_channels=16),
    ),
    cls_head=dict(in_channels=16),
)
"""
#: It trains for two iterations.
CONFIG = f"""{TINY}
loader = dict(batch_size=10, num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader)
loader['batch_size'] = 4
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs=1)
"""


def write_set(root, folds=(1,)):
    """A DFEW of 4 training clips and 1 test clip a class."""
    for fold in folds:
        codes = [i % 7 + 1 for i in range(35)]
        rows = list(enumerate(codes, start=100 * fold))
        write_dfew(root, rows[:28], fold=fold)
        write_dfew(root, rows[28:], split='test', fold=fold)


def write_config(folder):
    (folder / 'tiny.py').write_text(CONFIG)
