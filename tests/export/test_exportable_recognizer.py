"""The wrapper computes what ``test_step`` does."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from micacl_mm.export import ExportableRecognizer
from micacl_mm.export.exportable_recognizer import draw_frames
from micacl_mm.export.files import reference_scores
from micacl_mm.registry import MODELS

from .helpers import (
    SHAPE,
    TinyImageModel,
    build,
    config,
    head,
    stir,
)

CONFIGS = Path(__file__).parents[2] / 'configs'


def check(model, shape, batches=(1, 3), atol=1e-5):
    for batch in batches:
        frames = draw_frames(batch, shape)
        with torch.no_grad():
            found = ExportableRecognizer(model)(frames)
        expected = reference_scores(model, frames)
        torch.testing.assert_close(found, expected, atol=atol, rtol=0)
    return expected


@pytest.mark.parametrize('method', ['micacl_reference', 'micacl_plus'])
def test_models_of_the_leaderboard(method):
    init_default_scope('mmaction')
    config = Config.fromfile(CONFIGS / f'leaderboard/{method}.py')
    # In float64: the reference's chain starts nearly dead, so that scores of
    # different videos differ by 1e-6.
    model = stir(MODELS.build(config.model)).double()
    scores = check(model, (4, 3, 4, 48, 48), batches=(2,), atol=1e-12)
    assert (scores[0] - scores[1]).abs().max() > 1e-7


PREPROCESSOR = config()['data_preprocessor']
SWAPPED = {**PREPROCESSOR, 'to_rgb': True}
PLAIN = dict(type='ActionDataPreprocessor', format_shape='NCTHW')
VARIANTS = {
    'bags': {},
    'two crops': {},
    'channels swapped': dict(data_preprocessor=SWAPPED),
    'no normalization': dict(data_preprocessor=PLAIN),
    'logits': dict(cls_head=head(average_clips='score')),
    'one class, one instance': dict(
        neck=dict(type='WIAN', in_channels=4, out_channels=8, num_instances=1),
        cls_head=head(num_classes=1),
    ),
    'views one after the other': dict(test_cfg=dict(max_testing_views=2)),
    'frames in chunks': dict(
        backbone=dict(
            type='FrameBackbone',
            backbone=dict(type=TinyImageModel),
            chunk_size=2,
        )
    ),
}


@pytest.mark.parametrize('name', VARIANTS)
def test_variants(name):
    views = 4 if name in ('two crops', 'views one after the other') else 2
    views = 1 if 'one instance' in name else views
    cfg = config(**VARIANTS[name])
    model = build(cfg)
    # Numbers as large as pixels saturate the rest.
    if name == 'no normalization':
        model.backbone.backbone[0].weight.data.div_(100)
    check(model, (views, *SHAPE[1:]))


@pytest.mark.parametrize('view', ['clip', 'frames'])
def test_joined_instances(view):
    cfg = config(data_preprocessor=PREPROCESSOR)
    cfg['data_preprocessor'] = dict(
        PREPROCESSOR, type='BagDataPreprocessor', view=view, num_instances=2
    )
    cfg['neck'] = None
    cfg['cls_head'] = head(in_channels=4)
    if view == 'frames':
        cfg['type'] = 'Recognizer2D'
        cfg['backbone'] = dict(type=Maps)
        cfg['cls_head'] = head(type='TSNHead', in_channels=4)
    check(build(cfg), SHAPE)


@MODELS.register_module(name='tests.export.Maps', force=True)
class Maps(TinyImageModel):
    """A backbone of Recognizer2D."""


def test_the_model_is_left_alone():
    model = build(config(test_cfg=dict(max_testing_views=2)))
    model.train()
    state = copy.deepcopy(model.state_dict())
    scores = ExportableRecognizer(model)
    with torch.no_grad():
        scores(draw_frames(2, SHAPE))
    assert not scores.model.training
    assert model.training and model.test_cfg == dict(max_testing_views=2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    reference_scores(model, draw_frames(1, SHAPE))
    assert model.training


def other_preprocessor():
    model = build()
    kind = type(model.data_preprocessor)
    model.data_preprocessor.__class__ = type('Other', (kind,), {})
    return model


def features():
    feature_head = dict(type='FeatureHead', average_clips='prob')
    return build(config(cls_head=feature_head))


@pytest.mark.parametrize(
    'make, kind, match',
    [
        (lambda: nn.Linear(1, 1), TypeError, 'got Linear'),
        (features, TypeError, 'such as I3DHead, .* with FeatureHead'),
        (other_preprocessor, TypeError, "got Other with 'NCTHW'"),
        (
            lambda: build(config(cls_head=head(average_clips=None))),
            ValueError,
            "cls_head.average_clips='prob'",
        ),
    ],
)
def test_refusals(make, kind, match):
    with pytest.raises(kind, match=match):
        ExportableRecognizer(make())


def test_frames_with_the_wrong_number_of_axes():
    scores = ExportableRecognizer(build())
    with pytest.raises(ValueError, match=r'must have 6 axes.*\(2, 3, 3, 8'):
        scores(draw_frames(2, SHAPE[1:]))
