"""The leaves of configs/mixing, and how to make a small twin of each."""

from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS, TRANSFORMS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'configs' / 'mixing'
OUT = 64  # channels that leave the small WIAN


def _chain_of(channels: int) -> dict:
    return {
        'model.neck.necks.0.in_channels': channels,
        'model.neck.necks.1.in_channels': channels,
        'model.neck.necks.1.out_channels': OUT,
        'model.cls_head.in_channels': OUT,
    }


#: Overrides that leave the kinds of all parts as they are.
SMALL = {
    'wian_swin_dfew': {
        'model.backbone.arch': dict(
            _delete_=True,
            embed_dims=24,
            depths=[1, 1, 1, 1],
            num_heads=[1, 2, 2, 2],
        ),
        'model.neck.in_channels': 192,
        'model.neck.out_channels': OUT,
        'model.cls_head.in_channels': OUT,
    },
    'geiim_wian_mvit_dfew': {
        'model.backbone.arch': dict(
            _delete_=True,
            embed_dims=24,
            num_layers=4,
            num_heads=1,
            downscale_indices=[1, 2],
        ),
        'model.backbone.spatial_size': 32,
        'optim_wrapper.paramwise_cfg.num_layers': 4,
        **_chain_of(96),
    },
    'mccl_tsm_actions': {
        'model.backbone.depth': 18,
        'model.cls_head.in_channels': 512,
    },
    'mccl_slowonly_actions': {
        'model.backbone.depth': 18,
        'model.backbone.base_channels': 8,
        'model.cls_head.in_channels': 64,
    },
    'micacl_clip_dfew': {
        'model.backbone.backbone.arch': dict(
            _delete_=True,
            embed_dims=48,
            num_layers=4,
            num_heads=4,
            feedforward_channels=96,
        ),
        'model.backbone.backbone.img_size': 32,
        'model.backbone.backbone.frozen_stages': 2,
        **_chain_of(48),
    },
    'micacl_videomae_dfew': {
        'model.backbone.embed_dims': 48,
        'model.backbone.depth': 2,
        'model.backbone.num_heads': 4,
        'model.backbone.img_size': 32,
        'optim_wrapper.paramwise_cfg.num_layers': 2,
        **_chain_of(48),
    },
}
NAMES = tuple(SMALL)
FACES = tuple(name for name in NAMES if name.endswith('_dfew'))
ACTIONS = tuple(name for name in NAMES if name.endswith('_actions'))
#: Training clips of each class in the drawn set of actions.
COUNTS = (8, 4, 2)
#: Where MMAction2 or MMPretrain keep the model that a leaf starts from.
STOCK = {
    'wian_swin_dfew': 'mmaction/recognition/swin/'
    'swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb.py',
    'geiim_wian_mvit_dfew': 'mmaction/recognition/mvit/'
    'mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py',
    'mccl_tsm_actions': 'mmaction/recognition/tsm/'
    'tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb.py',
    'mccl_slowonly_actions': 'mmaction/recognition/slowonly/'
    'slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e'
    '_kinetics400-rgb.py',
    'micacl_clip_dfew': 'mmpretrain/clip/'
    'clip_vit-base-p16_zeroshot-cls_in1k.py',
    'micacl_videomae_dfew': 'mmaction/recognition/videomae/'
    'vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400.py',
}


def library(name: str) -> Path:
    """Folder of an installed package."""
    return Path(find_spec(name).submodule_search_locations[0])


def load(name: str, small: bool = False) -> Config:
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    if small:
        cfg.merge_from_dict(SMALL[name])
    init_default_scope(cfg.default_scope)
    return cfg


def load_stock(name: str) -> Config:
    package, _, path = STOCK[name].partition('/')
    return Config.fromfile(library(package) / '.mim' / 'configs' / path)


def build(cfg: Config):
    """Build the model and give MCCL counts, as its hook does."""
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if hasattr(module, 'set_class_counts'):
            module.set_class_counts(list(range(module.num_classes, 0, -1)))
    return model


def sampler_of(pipeline: list):
    (sampler,) = (step for step in pipeline if 'Sample' in step.type)
    return TRANSFORMS.build(sampler)
