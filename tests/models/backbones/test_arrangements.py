"""MMPretrain's ViT in the arrangements whose checkpoints are converted."""

import pytest
import torch

from .cases import PLAIN_VIT, build, clips, close, randomised

# From timm's names to MMPretrain's.
NAMES = {
    'patch_embed.proj.': 'patch_embed.projection.',
    'norm_pre.': 'pre_norm.',
    'blocks.': 'layers.',
    '.norm1.': '.ln1.',
    '.norm2.': '.ln2.',
    '.ls1.gamma': '.attn.gamma1.weight',
    '.ls2.gamma': '.ffn.gamma2.weight',
    '.mlp.fc1.': '.ffn.layers.0.0.',
    '.mlp.fc2.': '.ffn.layers.1.',
}
ARRANGEMENTS = {
    'vit_base_patch14_dinov2': dict(
        img_size=28, patch_size=14, layer_scale_init_value=1e-5
    ),
    'vit_base_patch16_clip_quickgelu_224': dict(
        pre_norm=True, layer_cfgs=dict(act_cfg=dict(type='QuickGELU'))
    ),
}


def renamed(name):
    for old, new in NAMES.items():
        name = name.replace(old, new)
    return f'ln1.{name[5:]}' if name.startswith('norm.') else name


@pytest.mark.parametrize('name', ARRANGEMENTS)
def test_mmpretrains_arrangement_equals_timms(name, tmp_path):
    pytest.importorskip('mmpretrain')
    pytest.importorskip('timm')
    cfg = dict(PLAIN_VIT, **ARRANGEMENTS[name])
    sizes = dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=2)
    theirs = dict(type=f'timm.{name}', img_size=cfg['img_size'], **sizes)
    theirs = randomised(build(theirs)).eval()
    state = theirs.backbone.state_dict()
    torch.save({renamed(n): v for n, v in state.items()}, tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'))
    model = build(dict(cfg, init_cfg=init_cfg), frozen=True)  # all is filled
    model.init_weights()
    x = clips(size=cfg['img_size'])
    found, expected = model(x), theirs(x)
    assert expected.std() > 0.1
    close(found, expected)
