"""Small models of every backbone family, with parts of ours."""

from dataclasses import dataclass, field
from pathlib import Path

import mmaction.engine  # noqa: F401  initializers that graph models name
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS

K, LABELS = 3, (0, 0, 1)
OUT = 64  # channels that leave WIAN


@dataclass(frozen=True)
class Family:
    """A row, see families.yml."""

    name: str
    backbone: dict
    channels: int
    shape: tuple = (3, 4, 32, 32)
    head: str = 'I3DHead'
    head_args: dict = field(default_factory=dict)
    recognizer: str = 'Recognizer3D'
    num_instances: int = 2
    needs: tuple = ()
    note: str = ''

    def __str__(self) -> str:
        return self.name


def tuples(value):
    if isinstance(value, dict):
        return {k: v if k == 'arch' else tuples(v) for k, v in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value


ROWS = yaml.safe_load(Path(__file__).with_name('families.yml').read_text())
FAMILIES = [Family(**tuples(row)) for rows in ROWS.values() for row in rows]


def neck_of(family: Family, column: str) -> dict:
    shared = dict(in_channels=family.channels)
    mccl = dict(type='MCCLLoss', class_counts=[50, 20, 5])
    geiim = dict(type='GEIIM', **shared)
    wian = dict(type='WIAN', out_channels=OUT, **shared)
    if column == 'MCCL':
        return dict(type='PassThroughNeck', aux_loss=mccl)
    chain = dict(type='NeckChain', necks=[geiim, wian], aux_loss=mccl)
    neck = {'GEIIM': geiim, 'WIAN': wian}.get(column, chain)
    return dict(num_instances=family.num_instances, **neck)


def head_of(family: Family, column: str) -> dict:
    """The family's own head; TSM's own cannot follow an aggregation."""
    kind, arguments = family.head, family.head_args
    if column != 'MCCL' and kind == 'TSMHead':
        kind, arguments = 'TSNHead', {}
    channels = OUT if 'WIAN' in column else family.channels
    head = dict(type=kind, num_classes=K, in_channels=channels, **arguments)
    return dict(head, topk=(1,), average_clips='prob')


def build(family: Family, column: str):
    init_default_scope('mmaction')
    model = dict(
        type=family.recognizer,
        backbone=family.backbone,
        neck=neck_of(family, column),
        cls_head=head_of(family, column),
    )
    # By the text of a config, as users write it.
    text = f'model = {model!r}\n'
    return MODELS.build(Config.fromstring(text, '.py').model)


def videos(family: Family, column: str, crops: int = 1) -> torch.Tensor:
    """(N, crops * clips, ...), crop-major as MMAction2 lays them out."""
    clips = family.num_instances
    if column == 'MCCL' and family.recognizer != 'Recognizer2D':
        clips = 1
    return torch.rand(len(LABELS), crops * clips, *family.shape)
