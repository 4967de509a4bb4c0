"""The package needs none of the image libraries."""

import pytest

pytestmark = pytest.mark.slow

LIBRARIES = ('mmpretrain', 'timm', 'torchvision')
SCRIPT = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition('.')[0] not in {LIBRARIES}:
            return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
import torch
import micacl_mm
from micacl_mm.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

print(micacl_mm.__file__)
init_default_scope('mmaction')
torch.manual_seed(0)
model = MODELS.build(dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet3dSlowOnly', depth=18, base_channels=4, pretrained=None),
    neck=dict(
        type='NeckChain',
        num_instances=4,
        necks=[
            dict(type='GEIIM', in_channels=32),
            dict(type='WIAN', in_channels=32, out_channels=16),
        ],
        aux_loss=dict(
            type='MCCLLoss', num_classes=3, class_counts=[5, 4, 3])),
    cls_head=dict(
        type='I3DHead', num_classes=3, in_channels=16, average_clips='prob')))
samples = [ActionDataSample().set_gt_label(label) for label in (0, 0)]
losses = model(torch.rand(2, 4, 3, 4, 32, 32), samples, mode='loss')
print(sorted(losses), model.parse_losses(losses)[0].isfinite().item())
for kind in ('mmpretrain.ResNet', 'timm.resnet18', 'torchvision.resnet18'):
    try:
        MODELS.build(dict(type='FrameBackbone', backbone=dict(type=kind)))
    except ImportError as error:
        print(error)
frames = MODELS.build(
    dict(type='FrameBackbone', backbone=dict(type='ResNet', depth=18)))
print(tuple(frames(torch.rand(1, 3, 2, 32, 32)).shape))
print(sorted(set({LIBRARIES}) & set(sys.modules)))
"""


def test_image_libraries_are_for_frame_backbone_alone(venv_of_wheel, tmp_path):
    lines = venv_of_wheel.run('-c', SCRIPT, cwd=tmp_path).splitlines()
    where, losses, *errors, shape, imported = lines[-7:]
    assert where.startswith(str(venv_of_wheel.site_packages))
    assert losses.startswith("['loss_cls', 'loss_mccl', ")
    assert losses.endswith(' True')
    commands = ('mmpretrain==1.2.0', 'timm torch', 'torchvision torch==')
    for library, error, command in zip(
        LIBRARIES, errors, commands, strict=True
    ):
        assert error.startswith(f'FrameBackbone: a backbone of {library} ')
        assert f'; run: pip install {command}' in error
    # MMAction2's own 2-D backbones are there all the same.
    assert shape == '(1, 512, 1, 1, 1)'
    assert imported == '[]'
