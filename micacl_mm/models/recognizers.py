"""What stock recognizers lack to carry necks on bags.

MMAction2's Recognizer3D calls any neck, Recognizer2D only where the backbone
returns several feature maps, RecognizerGCN none at all; and most heads want a
feature in the form in which their own backbone gives it. So ``extract_feat``
of these classes is wrapped here. A recognizer whose neck is no
:class:`BaseBagNeck` runs the stock code as ever.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Union

from mmaction.models.heads import (
    GCNHead,
    MViTHead,
    RGBPoseHead,
    SlowFastHead,
    TimeSformerHead,
    TRNHead,
    TSMHead,
    TSNAudioHead,
    TSNHead,
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
    (TSNAudioHead, 'I3DHead', 'it cannot be given losses of a neck'),
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
        if not hasattr(cls.extract_feat, '__wrapped__'):
            cls.extract_feat = _wrap(cls.extract_feat, carry)


def _wrap(stock: Callable, carry: Callable) -> Callable:
    @wraps(stock)
    def extract_feat(self, inputs, *args, **kwargs) -> Extracted:
        if not isinstance(getattr(self, 'neck', None), BaseBagNeck):
            return stock(self, inputs, *args, **kwargs)
        return carry(self, stock, inputs, *args, **kwargs)

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
    _check_views(recognizer, inputs)
    views = inputs.shape[1]
    if recognizer.neck.keeps_features and data_samples and views > 1:
        raise ValueError(
            f'{type(recognizer.neck).__name__}: the training pipeline gives '
            f'{views} clips of each video, but the head takes one; set '
            f'num_instances={views}, which averages them, or num_clips=1'
        )
    x, kwargs = stock(recognizer, inputs, 'neck', data_samples, test_mode)
    if isinstance(getattr(recognizer, 'cls_head', None), TSNHead):
        kwargs['num_segs'] = 1
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
    neck = recognizer.neck
    two_d = isinstance(recognizer, Recognizer2D)
    samples = dict(data_samples=data_samples, test_mode=test_mode)
    if stage != 'backbone':
        _check_views(recognizer, inputs)
    if two_d and stage != 'backbone' and len(getattr(neck, 'stock_necks', ())):
        # They want the feature maps as the stock code arranges them.
        x, kwargs = stock(recognizer, inputs, stage='neck', **samples)
        return _hand_over(recognizer, x, kwargs, stage)
    x, kwargs = stock(recognizer, inputs, stage='backbone', **samples)
    if stage == 'backbone':
        return x, kwargs
    if kwargs.get('fcn_test'):
        raise ValueError(
            f'{type(neck).__name__}: makes one feature of a video, so nothing '
            'is left for fcn_test to slide over; remove it from test_cfg'
        )
    # People and channels change places: channels second, as elsewhere.
    feats = x if two_d else x.transpose(1, 2)
    out, kwargs['loss_aux'] = neck(feats, data_samples=data_samples)
    if neck.keeps_features:
        return _hand_over(recognizer, x, kwargs, stage)
    if two_d:
        out, kwargs['num_segs'] = out.squeeze(2), 1  # (N, C, 1, 1)
    return _hand_over(recognizer, out, kwargs, stage)


def _refuse(recognizer: BaseRecognizer, *args, **kwargs) -> Extracted:
    """For recognizers that would drop the neck without a word."""
    raise TypeError(
        f'{type(recognizer).__name__} cannot carry '
        f'{type(recognizer.neck).__name__}: its head takes no losses or '
        'several features; use Recognizer3D, Recognizer2D or RecognizerGCN'
    )


def _check_views(recognizer: BaseRecognizer, inputs: Tensor) -> None:
    """Refuse clips that would be grouped across videos.

    Raises:
        ValueError: The clips of a video, or ``max_testing_views``, are no
            whole number of bags.
    """
    size, views = recognizer.neck.num_instances, inputs.shape[1]
    name = type(recognizer.neck).__name__
    if views % size:
        raise ValueError(
            f'{name}: the pipeline gives {views} clips of each video, which '
            f'is no multiple of num_instances={size}; set num_clips of its '
            'SampleFrames (or SampleInstances), or num_instances of the neck, '
            'so that training and test agree'
        )
    most = (recognizer.test_cfg or {}).get('max_testing_views')
    if most and most % size:
        raise ValueError(
            f'{name}: max_testing_views={most} would cut bags of '
            f'num_instances={size} apart; set it to a multiple of {size}'
        )


def _hand_over(
    recognizer: BaseRecognizer, x: Any, kwargs: dict, stage: str
) -> Extracted:
    """Bring a neck's feature into the form that the head takes."""
    head = recognizer.cls_head if recognizer.with_cls_head else None
    if head is not None and not recognizer.neck.keeps_features:
        x = _in_form_of(x, head, type(recognizer.neck).__name__)
    if stage == 'head' and head is not None:
        x = head(x, **kwargs)
    return x, kwargs


def _in_form_of(x: Tensor, head: nn.Module, neck: str) -> Union[Tensor, list]:
    """Give (N, C, 1, ...) the form in which ``head`` takes features.

    Raises:
        TypeError: The head cannot follow a neck on bags.
        ValueError: ``in_channels`` of the head is not C.
    """
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
    if isinstance(head, (TimeSformerHead, UniFormerHead)):
        return vector
    if isinstance(head, SlowFastHead):  # joins (slow, fast) as fast, slow
        half = channels // 2
        return [x[:, half:], x[:, :half]]
    if isinstance(head, MViTHead):
        return [[x, vector]] if head.with_cls_token else [x]
    if isinstance(head, GCNHead):
        return vector[:, None, :, None, None]  # (N, people, C, T, V)
    return x
