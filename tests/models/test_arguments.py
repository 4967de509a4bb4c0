"""Values of constructor arguments that cannot work are named."""

import math

import pytest
import torch

import micacl_mm

NEEDED = {
    'BagDataPreprocessor': dict(view='clip'),
    'FrameBackbone': dict(backbone=dict(type=torch.nn.Flatten)),
    'LongTailCrossEntropyLoss': dict(num_classes=2),
    'MCCLLoss': dict(num_classes=2),
    'NeckChain': dict(necks=[dict(type=micacl_mm.GEIIM, in_channels=4)]),
    'WIAN': dict(in_channels=4, out_channels=8),
}


@pytest.mark.parametrize(
    ('name', 'given'),
    [
        ('BagDataPreprocessor', dict(num_instances='4')),
        ('FrameBackbone', dict(frozen=3)),
        ('GEIIM', dict(num_instances=10**30)),
        ('GEIIM', dict(in_channels='512')),
        ('GEIIM', dict(kernel_sizes=[])),
        ('GEIIM', dict(alpha=math.nan)),
        ('LongTailCrossEntropyLoss', dict(num_classes=2.5)),
        ('MCCLLoss', dict(queue_size='7')),
        ('MCCLLoss', dict(temperature=math.inf)),
        ('NeckChain', dict(necks=[{}])),
        ('PassThroughNeck', dict(aux_loss={'a': 1})),
        ('WIAN', dict(num_heads=0)),
        ('WIAN', dict(num_layers=-1)),
        ('WIAN', dict(out_channels=True)),
    ],
)
def test_values_that_cannot_work(name, given):
    cls = getattr(micacl_mm, name)
    with pytest.raises(ValueError, match=f'^{name}: {[*given][0]} must'):
        cls(**{**NEEDED.get(name, {}), **given})
