"""Defaults that hashes of configs, and so committed rows, rely on."""

import inspect

import pytest

from micacl_mm.registry import MODELS, TRANSFORMS

DEFAULTS = {
    'BagDataPreprocessor': dict(num_instances=4, format_shape='NCTHW'),
    'FrameBackbone': dict(pooling='mean', frozen=False, norm_eval=False),
    'GEIIM': dict(
        num_instances=4,
        embed_dims=10,
        depth=1,
        alpha=0.7,
        kernel_sizes=None,
        weight_source='linear',
        zero_init=True,
    ),
    'LongTailCrossEntropyLoss': dict(
        class_counts=None,
        class_weight='none',
        beta=0.999,
        logit_adjustment=0.0,
        gamma=0.0,
        loss_weight=1.0,
    ),
    'MCCLLoss': dict(
        class_counts=None,
        scales=(1, 2, 4),
        form='log',
        temperature=0.07,
        temperature_mode='global',
        class_weight='inverse_sqrt',
        beta=0.999,
        include_self=False,
        projection_channels=None,
        prototypes=False,
        warmup_iters=0,
        queue_size=0,
        fused=None,
        pooled=False,
        focal='none',
        loss_weight=0.1,
    ),
    'NeckChain': dict(num_instances=4),
    'SampleInstances': dict(
        num_frames=16, instance_len=4, instance_stride=None, test_mode=False
    ),
    'WIAN': dict(
        num_instances=4,
        num_layers=2,
        num_heads=8,
        norm='dmin',
        residual='mean',
        weight_source='auto',
    ),
}


@pytest.mark.parametrize('name', DEFAULTS)
def test_a_changed_default_changes_what_committed_rows_mean(name):
    kind = MODELS.get(name) or TRANSFORMS.get(name)
    parameters = inspect.signature(kind).parameters
    for key, value in DEFAULTS[name].items():
        assert parameters[key].default == value, (
            f'{name}: the config hash does not see the default of {key}; '
            'write the value that committed rows were trained with into the '
            'bases of configs/leaderboard, or name the new one there'
        )
