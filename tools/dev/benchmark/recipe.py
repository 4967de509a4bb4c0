"""The models that are measured, from their configs, and their input."""

import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from .contrastive import DFEW_COUNTS, labels_like_dfew
from .options import CONFIGS

#: Configs with MICACL and without.
OURS, OTHER = 'micacl_dfew.py', 'baseline_dfew.py'
#: Base channels of R3D-18.
WIDTH = 64


def load_config(name: str, width: int = WIDTH) -> Config:
    """Read a config of the checkout; ``width`` narrows its backbone."""
    return narrow(Config.fromfile(CONFIGS / name), width)


def narrow(cfg: Config, width: int) -> Config:
    """Set the base channels of the backbone, and what follows from them."""
    if width == WIDTH:
        return cfg
    cfg.model.backbone.base_channels = width
    cfg.model.cls_head.in_channels = 8 * width
    if 'necks' in cfg.model.neck:  # features of 8, bag features of 16 widths
        first, last = cfg.model.neck.necks
        first.in_channels = last.in_channels = 8 * width
        last.out_channels = cfg.model.neck.aux_loss.in_channels = 16 * width
        cfg.model.cls_head.in_channels = 16 * width
    return cfg


def build_model(cfg: Config, device: str = 'cpu') -> nn.Module:
    """Build the recognizer of a config and tell it DFEW's class counts."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if hasattr(module, 'set_class_counts'):
            module.set_class_counts(DFEW_COUNTS)
    return model.to(device)


def random_bags(batch: int, size: int = 112, length: int = 4) -> dict:
    """Make what a dataloader hands over: 4 instances a video, uint8."""
    random = torch.Generator().manual_seed(0)
    shape = (4, 3, length, size, size)
    bags = [
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        for _ in range(batch)
    ]
    samples = [
        ActionDataSample().set_gt_label(int(label))
        for label in labels_like_dfew(batch)
    ]
    return dict(inputs=bags, data_samples=samples)
