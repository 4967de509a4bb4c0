"""A recognizer as one function from frames to scores."""

import copy
from typing import Any

from mmaction.models.data_preprocessors import ActionDataPreprocessor
from mmaction.models.heads import BaseHead
from mmaction.models.recognizers import BaseRecognizer
from torch import Tensor, nn

from micacl_mm.models import BagDataPreprocessor, BaseBagNeck, FrameBackbone

_AVERAGES = ('prob', 'score')
#: Format of the data preprocessor -> axis of the channels.
_CHANNELS = {'NCHW': -3, 'NCTHW': -4}


class ExportableRecognizer(nn.Module):
    """All that ``test_step`` computes, from tensor to tensor.

    ``test_step`` takes lists and gives objects, which no exported graph can.
    This has the data preprocessor's arithmetic, backbone, neck, head and the
    mean over clips in one ``forward``. It works on a copy of the model, on
    the CPU and in eval mode; ``max_testing_views`` and ``chunk_size``, which
    save memory and change no score, are dropped from it.

    Args:
        model (BaseRecognizer): Any recognizer of frames or clips.

    Shapes:
        Frames as the test pipeline packs them, (N, views, C, T, H, W) or
        (N, views, C, H, W), values 0 to 255, become scores (N, K).

    Raises:
        TypeError: ``model`` is no recognizer with a head that gives scores,
            or its data preprocessor is one that is not known here.
        ValueError: ``average_clips`` of the head is None; in ``forward``, the
            frames have the wrong number of axes.

    Examples:
        >>> scores = ExportableRecognizer(model)
        >>> scores(torch.zeros(2, 4, 3, 4, 112, 112, dtype=torch.uint8)).shape
        torch.Size([2, 7])
    """

    def __init__(self, model: BaseRecognizer) -> None:
        super().__init__()
        _check(model)
        self.model = _plain_copy(model)

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (N, views, C, ...) to scores (N, K)."""
        x = self._preprocess(frames)  # (N, views', C, ...)
        feats, kwargs = self.model.extract_feat(x, test_mode=True)
        head = self.model.cls_head
        scores = head(feats, **kwargs)  # (N * views'', K)
        views = scores.shape[0] // frames.shape[0]
        return head.average_clip(scores, num_segs=views)  # (N, K)

    def _preprocess(self, frames: Tensor) -> Tensor:
        """Do what ActionDataPreprocessor does to a batch, but the stacking.

        Its own code cannot be traced: it takes a list and looks for padding
        by the values of tensors.
        """
        stock = self.model.data_preprocessor
        mean = getattr(stock, 'mean', None)
        if mean is not None and frames.dim() != mean.dim() + 2:
            raise ValueError(
                'ExportableRecognizer: frames must have '
                f'{mean.dim() + 2} axes, (videos, views, channels, ...) in '
                f'the form {stock.format_shape}, got shape '
                f'{tuple(frames.shape)}'
            )
        if stock.to_rgb:
            frames = frames.flip(_CHANNELS[stock.format_shape])
        if mean is not None:
            frames = (frames - mean) / stock.std
        elif stock.to_float32:
            frames = frames.float()
        if isinstance(stock, BagDataPreprocessor):
            return stock._join(frames)
        return frames


def _check(model: Any) -> None:
    """Refuse what would give something else than ``test_step``."""
    name = type(model).__name__
    head = getattr(model, 'cls_head', None)
    if not isinstance(model, BaseRecognizer) or not isinstance(head, BaseHead):
        raise TypeError(
            'ExportableRecognizer: model must be a recognizer with a '
            f'classification head, got {name}'
        )
    if type(head).predict_by_feat is not BaseHead.predict_by_feat:
        raise TypeError(
            f'ExportableRecognizer: {type(head).__name__} gives no scores of '
            'classes; take a head such as I3DHead'
        )
    if head.average_clips not in _AVERAGES:
        raise ValueError(
            f'ExportableRecognizer: average_clips of {type(head).__name__} '
            f'must be one of {_AVERAGES}, got {head.average_clips!r}; set '
            "cls_head.average_clips='prob'"
        )
    stock = model.data_preprocessor
    known = type(stock) in (ActionDataPreprocessor, BagDataPreprocessor)
    if not known or stock.format_shape not in _CHANNELS:
        raise TypeError(
            'ExportableRecognizer: data_preprocessor must be an '
            'ActionDataPreprocessor or a BagDataPreprocessor with '
            f'format_shape in {tuple(_CHANNELS)}, got {type(stock).__name__}'
            f' with {getattr(stock, "format_shape", None)!r}'
        )


def _plain_copy(model: BaseRecognizer) -> BaseRecognizer:
    """Copy a model without what only serves to save memory or to watch."""
    model = copy.deepcopy(model).cpu().eval()
    test_cfg = dict(model.test_cfg or {})
    # Stock code then takes one video at a time.
    test_cfg.pop('max_testing_views', None)
    model.test_cfg = test_cfg or None
    for module in model.modules():
        if isinstance(module, FrameBackbone):
            # The number of chunks would fix the size of the batch.
            module.chunk_size = None
        if isinstance(module, BaseBagNeck):
            module._bag_hooks.clear()
    return model
