"""An image model as the backbone of a video model."""

import logging
from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmaction.utils import ConfigType, OptConfigType
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.model.weight_init import initialize
from torch import Tensor, nn

from micacl_mm.errors import check_choice, check_count
from micacl_mm.registry import MODELS

from ..bag import Bag, release
from ..layers import GatedAttention
from .checkpoints import refuse_misfits, some
from .chunks import even_sizes, run_in_chunks
from .image_models import build_image_model, is_timm

_CURE = (
    'give a checkpoint of this model as init_cfg in its own dict, with the '
    "prefix of its names if they have one, e.g. prefix='backbone.'; files of "
    "another library need the model of that library, e.g. type='timm.NAME'"
)
#: Arguments with which image models load weights by themselves.
_OWN_WEIGHTS = ('pretrained', 'weights', 'checkpoint_path')


@MODELS.register_module()
class FrameBackbone(BaseModule):
    """Runs an image model on each frame and pools over the frames.

    For Recognizer3D: every clip becomes one vector, which I3DHead and all
    necks take. All of it is [ours].

    ``type`` of the image model is one of

    - ``'mmpretrain.NAME'``: a backbone of MMPretrain;
    - ``'timm.NAME'``, ``'torchvision.NAME'``: the names of MMAction2's
      Recognizer2D. The other keys are arguments of the library's own
      function. The classifier is taken out (pooling and norms in front of
      it stay), and nothing is downloaded unless ``pretrained=True`` or
      ``weights=...`` is among them;
    - a bare name: a 2-D backbone of MMAction2 (``'ResNetTSM'`` and
      ``'MobileNetV2TSM'`` without a ``pretrained`` file need
      ``pretrained2d=False``);
    - a class or function, of these libraries or any other, called with the
      other keys.

    What the image model returns becomes one vector a frame: (B, C) stays,
    maps (B, C, H, W) are averaged, of a tuple of stages the last one counts,
    tokens (B, L, C) are averaged where the image model says
    ``out_type='raw'``. Other outputs, unpooled maps of timm among them, which
    may have channels last, are refused.

    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...)`` among
    the keys of the image model loads its weights whatever library it is of,
    and is refused where it fills less than half of the parameters, or leaves
    out one that does not learn. Files that a library must convert first
    (timm's in another image size) are loaded by the library's own arguments.

    Args:
        backbone (dict): The image model, see above.
        pooling (str): ``'mean'``, ``'max'`` or ``'attention'`` (learned, see
            :class:`GatedAttention`) over the frames, or ``'none'``, which
            keeps them. Defaults to ``'mean'``.
        in_channels (int, optional): C', size of a frame's feature; needed by
            ``'attention'``. Defaults to None.
        chunk_size (int, optional): Most frames that go through the image
            model at once. The result is the same, but BatchNorm in training
            takes each chunk for a batch. Defaults to None, all frames.
        with_cp (bool): Keep no activations for the backward pass and compute
            them again, chunk by chunk, so that a training step, too, needs
            the memory of one chunk. Defaults to False.
        frozen (bool or Sequence[str]): True for the whole image model, or
            names of its parts, such as ``('conv1', 'layer1')``; they do not
            learn and stay in eval mode, as does every part of which no
            parameter learns. With all of it frozen no gradient passes, also
            none to the pixels. Defaults to False.
        init_cfg (dict, optional): MMEngine's initialization config of the
            wrapper; its parameters are ``backbone.*`` and ``attention.*``.

    Shapes:
        Clips (B, C, T, H, W) become (B, C', 1, 1, 1), or (B, C', T, 1, 1)
        with ``pooling='none'``.

    Examples:
        >>> resnet = dict(type='mmpretrain.ResNet', depth=18)
        >>> backbone = MODELS.build(
        ...     dict(type='FrameBackbone', backbone=resnet, chunk_size=16)
        ... )
        >>> backbone(torch.rand(2 * 4, 3, 4, 112, 112)).shape
        torch.Size([8, 512, 1, 1, 1])
    """

    def __init__(
        self,
        backbone: ConfigType,
        pooling: str = 'mean',
        in_channels: Optional[int] = None,
        chunk_size: Optional[int] = None,
        with_cp: bool = False,
        frozen: Union[bool, str, Sequence[str]] = False,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        poolings = ('mean', 'max', 'attention', 'none')
        check_choice('FrameBackbone', poolings, pooling=pooling)
        if chunk_size is not None:
            check_count('FrameBackbone', chunk_size=chunk_size)
        self.backbone, self.checkpoints = build_image_model(backbone)
        self.loads_weights = any(map(backbone.get, _OWN_WEIGHTS))
        self.pooling = pooling
        self.chunk_size = chunk_size
        self.with_cp = with_cp
        self.num_segments = getattr(self.backbone, 'num_segments', None) or 1
        if (chunk_size or 0) % self.num_segments:
            raise ValueError(
                'FrameBackbone: chunk_size must be a multiple of '
                f'num_segments={self.num_segments}, over which '
                f'{type(self.backbone).__name__} mixes frames, got '
                f'{chunk_size}'
            )
        if pooling == 'attention':
            if in_channels is None:
                raise ValueError(
                    "FrameBackbone: pooling='attention' needs in_channels, "
                    'the size of the feature that the image model makes of a '
                    'frame'
                )
            self.attention = GatedAttention(in_channels)
        self._frozen_parts = _parts(self.backbone, frozen)
        for name, parameter in self.backbone.named_parameters():
            if name in self._frozen_parts:
                parameter.requires_grad_(False)
        # What a new model has set to eval mode itself, such as the dropout
        # behind frozen position embeddings; all of it says nothing.
        own = self.backbone.named_modules() if self.backbone.training else ()
        self._eval_parts = self._frozen_parts | {
            n for n, m in own if not m.training
        }
        self.train()  # so that what is frozen is in eval mode from the start

    def train(self, mode: bool = True) -> 'FrameBackbone':
        """Set the mode; what does not learn stays in eval mode."""
        super().train(mode)
        for name, module in self.backbone.named_modules():
            learns = [p.requires_grad for p in module.parameters()]
            if name in self._eval_parts or (learns and not any(learns)):
                module.eval()
        return self

    def init_weights(self) -> None:
        """Initialize the weights, once, and load checkpoints."""
        if self.is_init:
            super().init_weights()  # which says so
            return
        frozen = self._frozen_parts
        with refuse_misfits(self.backbone, _CURE, frozen) as filled:
            super().init_weights()
            initialize(self.backbone, self.checkpoints)
        random = [
            name
            for name, parameter in self.backbone.named_parameters()
            if not (parameter.requires_grad or name in filled)
        ]
        if random and not self.loads_weights:
            print_log(
                f'FrameBackbone: no checkpoint has filled {len(random)} '
                f'parameters of {type(self.backbone).__name__} that do not '
                f'learn ({some(random)}): unless load_from or '
                'resume will, they are random; give init_cfg=dict('
                "type='Pretrained', checkpoint=...) in its dict",
                logger='current',
                level=logging.WARNING,
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (B, C, T, H, W) to (B, C', 1, 1, 1)."""
        if x.dim() != 5 or x.shape[2] % self.num_segments:
            raise ValueError(
                'FrameBackbone: takes clips (B, C, T, H, W), T a multiple of '
                f'num_segments={self.num_segments}, got {tuple(x.shape)}; set '
                "format_shape='NCTHW' of the preprocessor and clip_len of the "
                'pipeline, and use Recognizer3D'
            )
        batch, _, length = x.shape[:3]
        # Frames of a clip next to each other, as models that mix time expect.
        frames = x.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
        features = self._extract(frames)  # (B * T, C')
        x = features.unflatten(0, (batch, length))  # (B, T, C')
        if self.pooling == 'none':
            return x.transpose(1, 2)[..., None, None]  # (B, C', T, 1, 1)
        if self.pooling == 'max':
            return release(x.amax(dim=1))
        weights = self.attention(x) if self.pooling == 'attention' else None
        return release(Bag(x, weights).pooled())

    def _extract(self, frames: Tensor) -> Tensor:
        """Run the image model, chunk by chunk: one vector a frame."""
        learns = any(p.requires_grad for p in self.backbone.parameters())
        # With an image model of no parameters gradients may pass.
        learns |= not self._frozen_parts
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            recompute = self.with_cp and torch.is_grad_enabled()
            if self.chunk_size is None and not recompute:
                # Tracers take the number of chunks for a constant.
                return self._run(frames)
            sizes = even_sizes(len(frames), self.chunk_size, self.num_segments)
            return run_in_chunks(
                self._run, self.backbone, frames, sizes, recompute
            )

    def _run(self, frames: Tensor) -> Tensor:
        """From (N, C, H, W) to what the last stage says of each, (N, C')."""
        x = self.backbone(frames)
        if isinstance(x, (tuple, list)) and x:
            x = x[-1]
        axes = x.dim() if isinstance(x, Tensor) else 0
        # Not len(), which tracers take for a constant.
        if axes > 1 and x.shape[0] == frames.shape[0]:
            if axes == 2:
                return x
            if axes == 4 and not is_timm(self.backbone):
                return x.mean(dim=(2, 3))
            if axes == 3 and getattr(self.backbone, 'out_type', '') == 'raw':
                return x.mean(dim=1)
        found = tuple(x.shape) if axes else type(x).__name__
        raise ValueError(
            f'FrameBackbone: {type(self.backbone).__name__} must return one '
            f'feature for each of {frames.shape[0]} frames, (N, C), or maps '
            f'(N, C, H, W), got {found}; check its options, such as '
            'out_indices, make it pool, or wrap it in a module that does'
        )


def _parts(
    model: nn.Module, chosen: Union[bool, str, Sequence[str]]
) -> set[str]:
    """Names of the modules and parameters that ``frozen`` means."""
    names = {*dict(model.named_modules()), *dict(model.named_parameters())}
    if isinstance(chosen, bool):
        return names if chosen else set()
    parts = set()
    for prefix in (chosen,) if isinstance(chosen, str) else chosen:
        # A dot at the end: 'layers.1' does not stand for 'layers.10'.
        found = {n for n in names if f'{n}.'.startswith(f'{prefix}.')}
        if not found:
            top = sorted({n.partition('.')[0] for n in names} - {''})
            raise ValueError(
                f'FrameBackbone: frozen names {prefix!r}, but '
                f'{type(model).__name__} has no such part; it has '
                f'{", ".join(top)}'
            )
        parts |= found
    return parts
