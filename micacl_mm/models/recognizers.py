"""Patches of stock recognizers and heads.

MMAction2's Recognizer3D calls any neck, Recognizer2D only where the backbone
returns several feature maps, RecognizerGCN none at all; and most heads want a
feature in the form in which their own backbone gives it. So ``extract_feat``
of these classes is wrapped here. A recognizer whose neck is no
:class:`BaseBagNeck` runs the stock code as ever.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Union

import torch
from mmaction.models.heads import (
    BaseHead,
    FeatureHead,
    GCNHead,
    MViTHead,
    RGBPoseHead,
    SlowFastHead,
    TimeSformerHead,
    TRNHead,
    TSMHead,
    TSNAudioHead,
    UniFormerHead,
)
from mmaction.models.recognizers import (
    BaseRecognizer,
    MMRecognizer3D,
    Recognizer2D,
    Recognizer3D,
    RecognizerAudio,
    RecognizerGCN,
)
from mmaction.utils import OptSampleList
from torch import Tensor, nn

from .necks import BaseBagNeck

#: What a recognizer hands on: features, and arguments for its head.
Extracted = tuple[Any, dict]

#: Heads that cannot follow a neck on bags, with the one to take and why.
_MISFITS = (
    (TSMHead, 'TSNHead', 'it averages the frames that the neck has joined'),
    (TRNHead, 'TSNHead', 'it relates the frames that the neck has joined'),
    (RGBPoseHead, 'I3DHead', 'it takes the features of two modalities'),
    (TSNAudioHead, 'TSNHead', 'it cannot be given losses of a neck'),
)


def carry_bag_necks() -> None:
    """Teach the stock recognizers to carry necks on bags, once."""
    for cls, carry in (
        (Recognizer3D, _carry_in_3d),
        (Recognizer2D, _carry_composed),
        (RecognizerGCN, _carry_composed),
        (RecognizerAudio, _refuse),
        (MMRecognizer3D, _refuse),
    ):
        if not hasattr(cls.extract_feat, 'carries_bag_necks'):
            cls.extract_feat = _wrap(cls.extract_feat, carry)


def let_heads_take_bfloat16() -> None:
    """Give heads float32 logits where autocast made them bfloat16, once.

    ``BaseHead.loss_by_feat`` hands the logits to NumPy for the accuracy in the
    log, and NumPy has no bfloat16: ``AmpOptimWrapper(dtype='bfloat16')`` stops
    at the first iteration. The cross-entropy is taken in float32 either way.
    """
    stock = BaseHead.loss_by_feat
    if getattr(stock, 'takes_bfloat16', False):
        return

    @wraps(stock)
    def loss_by_feat(self: BaseHead, cls_scores: Tensor, *args, **kwargs):
        if cls_scores.dtype == torch.bfloat16:
            cls_scores = cls_scores.float()
        return stock(self, cls_scores, *args, **kwargs)

    loss_by_feat.takes_bfloat16 = True
    BaseHead.loss_by_feat = loss_by_feat


def _wrap(stock: Callable, carry: Callable) -> Callable:
    @wraps(stock)
    def extract_feat(self, inputs, *args, **kwargs) -> Extracted:
        neck = getattr(self, 'neck', None)
        if isinstance(neck, nn.Sequential):
            _refuse_lists(neck)
        if not isinstance(neck, BaseBagNeck):
            return stock(self, inputs, *args, **kwargs)
        return carry(self, stock, inputs, *args, **kwargs)

    extract_feat.carries_bag_necks = True
    return extract_feat


def _carry_in_3d(
    recognizer: BaseRecognizer,
    stock: Callable,
    inputs: Tensor,
    stage: str = 'neck',
    data_samples: OptSampleList = None,
    test_mode: bool = False,
) -> Extracted:
    """Recognizer3D: the stock code, and the form that the head takes."""
    if stage == 'backbone' and not test_mode:
        return stock(recognizer, inputs, stage)
    _check_views(recognizer, inputs.shape[1])
    _check_joined(recognizer, inputs.shape[1], data_samples)
    x, kwargs = stock(recognizer, inputs, 'neck', data_samples, test_mode)
    return _hand_over(recognizer, x, kwargs, stage)


def _carry_composed(
    recognizer: BaseRecognizer,
    stock: Callable,
    inputs: Tensor,
    stage: str = 'neck',
    data_samples: OptSampleList = None,
    test_mode: bool = False,
) -> Extracted:
    """Recognizers without a use for necks: backbone, neck, form of the head.

    The neck gets what it gets from Recognizer3D: the features of all clips,
    those of a video next to each other. In Recognizer2D a frame is a clip.
    """
    neck, two_d = recognizer.neck, isinstance(recognizer, Recognizer2D)
    samples = dict(data_samples=data_samples, test_mode=test_mode)
    if two_d:
        _check_test_cfg(recognizer, neck)
    if two_d and neck.takes_maps and stage != 'backbone':
        # Stock necks want the feature maps as the stock code arranges them.
        if neck.num_instances > 1:
            raise ValueError(
                f'{type(neck).__name__}: in Recognizer2D a stock neck joins '
                'the frames of a video; set num_instances=1'
            )
        x, kwargs = stock(recognizer, inputs, stage='neck', **samples)
        return _hand_over(recognizer, x, kwargs, stage)
    x, kwargs = stock(recognizer, inputs, stage='backbone', **samples)
    if stage == 'backbone':
        return x, kwargs
    # As many as views, unless the backbone itself joins some (TSM).
    # Not len(), which tracers take for a constant.
    rows = (x if isinstance(x, Tensor) else x[0]).shape[0]
    _check_views(recognizer, rows // inputs.shape[0])
    if not two_d:
        _check_joined(recognizer, inputs.shape[1], data_samples)
    # In graphs, people and channels change places: channels second.
    feats = x if two_d else x.transpose(1, 2)
    out, kwargs['loss_aux'] = neck(feats, data_samples=data_samples)
    out = x if neck.keeps_features else out
    return _hand_over(recognizer, out, kwargs, stage)


def _refuse(recognizer: BaseRecognizer, *args, **kwargs) -> Extracted:
    """For recognizers that would drop the neck without a word."""
    if isinstance(recognizer, RecognizerAudio):
        better = 'Recognizer2D with TSNHead takes its backbones'
    else:
        better = 'Recognizer3D takes one of its modalities'
    raise TypeError(
        f'{type(recognizer).__name__} calls no neck, '
        f'{type(recognizer.neck).__name__} would be dropped; {better}'
    )


def _refuse_lists(necks: nn.Sequential) -> None:
    """For ``neck=[...]``, of which MMEngine makes a Sequential."""
    if any(isinstance(neck, BaseBagNeck) for neck in necks):
        raise TypeError(
            'a list of necks cannot carry losses; write neck='
            "dict(type='NeckChain', num_instances=..., necks=[...])"
        )


def _check_views(recognizer: BaseRecognizer, views: int) -> None:
    """Refuse clips that would be grouped across videos."""
    size = recognizer.neck.num_instances
    name = type(recognizer.neck).__name__
    if views % size:
        raise ValueError(
            f'{name}: there are {views} clips of each video, which is no '
            f'multiple of num_instances={size}; set num_clips where the '
            'pipeline samples (num_frames and instance_len of '
            'SampleInstances), or num_instances of the neck, so that '
            'training and test agree'
        )
    most = (recognizer.test_cfg or {}).get('max_testing_views')
    if most and most % size:
        raise ValueError(
            f'{name}: max_testing_views={most} would cut bags of '
            f'num_instances={size} apart; set it to a multiple of {size}'
        )


def _check_joined(
    recognizer: BaseRecognizer, views: int, data_samples: OptSampleList
) -> None:
    """Refuse to train heads of one clip on several clips of a video."""
    if recognizer.neck.keeps_features and data_samples and views > 1:
        raise ValueError(
            f'{type(recognizer.neck).__name__}: the training pipeline gives '
            f'{views} clips of each video, but the head takes one; set '
            f'num_instances={views}, which averages them, or num_clips=1'
        )


def _check_test_cfg(recognizer: BaseRecognizer, neck: BaseBagNeck) -> None:
    """Refuse what MMAction2 1.2.0 cannot do in Recognizer2D."""
    cfg = recognizer.test_cfg or {}
    refused = ['max_testing_views', *([] if neck.takes_maps else ['fcn_test'])]
    for name in refused:
        if cfg.get(name):
            raise ValueError(
                f'{type(neck).__name__}: {type(recognizer).__name__} cannot '
                f'use {name} with it; remove it from test_cfg'
            )


def _hand_over(
    recognizer: BaseRecognizer, x: Any, kwargs: dict, stage: str
) -> Extracted:
    """Bring a neck's feature into the form that the head takes."""
    head = recognizer.cls_head if recognizer.with_cls_head else None
    if head is not None and not recognizer.neck.keeps_features:
        # 1, for heads that average over frames; tracers refuse a constant.
        kwargs['num_segs'] = x.shape[1] // x.shape[1]
        x = _in_form_of(x, head, type(recognizer.neck).__name__)
    losses = kwargs.get('loss_aux', {})
    for name, loss in losses.items():
        if head is not None and callable(loss):  # of the class scores
            losses[name] = loss(scores=head(x, **kwargs))
    if stage == 'head' and head is not None:
        x = head(x, **kwargs)
    return x, kwargs


def _in_form_of(x: Tensor, head: nn.Module, neck: str) -> Union[Tensor, list]:
    """Give (N, C, 1, ...) the form in which ``head`` takes features."""
    name, channels = type(head).__name__, x.shape[1]
    for misfit, better, why in _MISFITS:
        if isinstance(head, misfit):
            raise TypeError(
                f'{name} cannot follow {neck}: {why}; use cls_head='
                f"dict(type='{better}', in_channels={channels}, ...)"
            )
    if getattr(head, 'in_channels', None) not in (None, channels):
        raise ValueError(
            f'{neck} gives features of size {channels}, but {name} has '
            f'in_channels={head.in_channels}; set in_channels={channels} there'
        )
    vector = x.flatten(1)  # (N, C)
    if isinstance(head, (TimeSformerHead, UniFormerHead, FeatureHead)):
        return vector
    maps = vector[..., None, None, None]  # (N, C, 1, 1, 1)
    if isinstance(head, SlowFastHead):  # joins (slow, fast) as fast, slow
        half = channels // 2
        return [maps[:, half:], maps[:, :half]]
    if isinstance(head, MViTHead):
        return [[maps, vector]] if head.with_cls_token else [maps]
    if isinstance(head, GCNHead):
        return vector[:, None, :, None, None]  # (N, people, C, T, V)
    return maps
