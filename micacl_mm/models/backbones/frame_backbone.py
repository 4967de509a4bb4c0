"""An image model as the backbone of a video model."""

from collections.abc import Sequence
from numbers import Integral
from typing import Optional, Union

import torch
from mmaction.utils import ConfigType, OptConfigType
from mmengine.model import BaseModule
from mmengine.model.weight_init import initialize
from torch import Tensor

from micacl_mm.registry import MODELS

from ..bag import Bag, release
from ..layers import GatedAttention
from .checkpoints import refuse_misfits, warn_of_nothing, warn_of_random
from .chunks import even_sizes, run_in_chunks
from .frame_features import SHAPES, one_vector
from .freezing import hold_still, select_parts, still_parts
from .image_models import build_image_model, loads_weights

_POOLINGS = ('mean', 'max', 'attention', 'none')


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
    maps (B, C, H, W) are averaged, of a tuple of stages the last one counts.
    Three axes are taken for tokens (B, L, C), and averaged with the class
    token among them, only where the image model says ``out_type='raw'``;
    otherwise, and for unpooled maps of timm, which may have channels last,
    ``feature_shape`` must say what they are. mmpretrain's InceptionV3 hands
    on its logits; those of torchvision and timm hand on features.

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
        feature_shape (str, optional): Axes of what the image model returns:
            ``'NCHW'``, ``'NHWC'``, ``'NLC'`` or ``'NCL'``. Defaults to None,
            the rules above.
        chunk_size (int, optional): Most frames that go through the image
            model at once. The result is the same, but BatchNorm in training
            normalizes with the statistics of a chunk; the running ones are
            close to those of all frames. Defaults to None, all frames.
        with_cp (bool): Keep no activations for the backward pass and compute
            them again, chunk by chunk, so that a training step, too, needs
            the memory of one chunk. Defaults to False.
        frozen (bool or Sequence[str]): True for the whole image model, or
            names of its parts, such as ``('conv1', 'layer1')``; they do not
            learn and stay in eval mode, as does what the image model freezes
            by its own options. With all of it frozen no gradient passes, also
            none to the pixels. Defaults to False, as do None and 0.
        norm_eval (bool): Keep the BatchNorm layers of the image model in
            eval mode. Defaults to False.
        init_cfg (dict, optional): MMEngine's initialization config of the
            wrapper; its parameters are ``backbone.*`` and ``attention.*``.

    Shapes:
        Clips (B, C, T, H, W) become (B, C', 1, 1, 1), or (B, C', T, 1, 1)
        with ``pooling='none'``.

    Raises:
        ImportError: The library of the image model is missing.
        TypeError: ``backbone`` describes no module, or in ``forward``
            returns no tensor a stage.
        ValueError: An argument is unknown, a name in ``frozen`` fits no part,
            or ``chunk_size`` would cut the segments of a model that mixes
            time (``num_segments``) apart. In ``forward``: the clips or the
            features have an unexpected shape. In ``init_weights``: a
            checkpoint does not fit.

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
        feature_shape: Optional[str] = None,
        chunk_size: Optional[int] = None,
        with_cp: bool = False,
        frozen: Union[bool, int, str, Sequence[str], None] = False,
        norm_eval: bool = False,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self._check(pooling, in_channels, feature_shape, chunk_size)
        self.backbone, self.checkpoints = build_image_model(backbone)
        self.loads_weights = loads_weights(backbone)
        self.pooling = pooling
        self.in_channels = in_channels
        self.feature_shape = feature_shape
        self.chunk_size = chunk_size
        self.with_cp = with_cp
        self.norm_eval = norm_eval
        self.num_segments = getattr(self.backbone, 'num_segments', None) or 1
        if chunk_size is not None and chunk_size % self.num_segments:
            raise ValueError(
                'FrameBackbone: chunk_size must be a multiple of '
                f'num_segments={self.num_segments}, over which '
                f'{type(self.backbone).__name__} mixes frames, got '
                f'{chunk_size}'
            )
        if pooling == 'attention':
            self.attention = GatedAttention(in_channels)
        if isinstance(frozen, Integral):
            if frozen not in (0, 1):
                raise ValueError(
                    'FrameBackbone: frozen must be True, False or names of '
                    f'parts, got {frozen}'
                )
            frozen = bool(frozen)
        if isinstance(frozen, str):
            frozen = (frozen,)
        self.frozen = frozen if frozen is True else tuple(frozen or ())
        self._frozen_parts = select_parts(self.backbone, self.frozen)
        for name, parameter in self.backbone.named_parameters():
            if name in self._frozen_parts:
                parameter.requires_grad_(False)
        self._still_parts = self._frozen_parts | still_parts(self.backbone)
        self.backbone.register_load_state_dict_pre_hook(warn_of_nothing)
        self.train()  # so that what is frozen is in eval mode from the start

    @staticmethod
    def _check(
        pooling: str,
        in_channels: Optional[int],
        feature_shape: Optional[str],
        chunk_size: Optional[int],
    ) -> None:
        if pooling not in _POOLINGS:
            raise ValueError(
                f'FrameBackbone: pooling must be one of {_POOLINGS}, got '
                f'{pooling!r}'
            )
        if pooling == 'attention' and in_channels is None:
            raise ValueError(
                "FrameBackbone: pooling='attention' needs in_channels, the "
                'size of the feature that the image model makes of a frame'
            )
        if feature_shape not in (None, *SHAPES):
            raise ValueError(
                f'FrameBackbone: feature_shape must be one of {SHAPES} or '
                f'None, got {feature_shape!r}'
            )
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(
                'FrameBackbone: chunk_size must be at least 1 frame, or None '
                f'for all, got {chunk_size}'
            )

    def train(self, mode: bool = True) -> 'FrameBackbone':
        """Set the mode; what is frozen stays in eval mode."""
        super().train(mode)
        hold_still(self.backbone, self._still_parts, self.norm_eval)
        return self

    def init_weights(self) -> None:
        """Initialize the weights, once, and load checkpoints."""
        if self.is_init:
            super().init_weights()  # which says so
            return
        with refuse_misfits(self.backbone, self._frozen_parts) as filled:
            super().init_weights()
            initialize(self.backbone, self.checkpoints)
        if not self.loads_weights:
            warn_of_random(self.backbone, filled)

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (B, C, T, H, W) to (B, C', 1, 1, 1)."""
        if x.dim() != 5:
            raise ValueError(
                'FrameBackbone: takes clips (B, C, T, H, W), got shape '
                f"{tuple(x.shape)}; set format_shape='NCTHW' of the "
                'preprocessor and use Recognizer3D'
            )
        batch, _, length = x.shape[:3]
        if length % self.num_segments:
            raise ValueError(
                f'FrameBackbone: clips of {length} frames are no multiple of '
                f'num_segments={self.num_segments}, over which '
                f'{type(self.backbone).__name__} mixes frames; set clip_len '
                'of the pipeline or num_segments'
            )
        # Frames of a clip next to each other, as models that mix time expect.
        frames = x.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
        features = self._extract(frames)  # (B * T, C')
        if self.in_channels not in (None, features.shape[1]):
            raise ValueError(
                f'FrameBackbone: in_channels={self.in_channels}, but '
                f'{type(self.backbone).__name__} gives features of size '
                f'{features.shape[1]}; set in_channels to it'
            )
        return self._pool(features.unflatten(0, (batch, length)))

    def _pool(self, x: Tensor) -> Tensor:
        """Pool frames (B, T, C') into a feature map."""
        if self.pooling == 'none':
            return x.transpose(1, 2)[..., None, None]  # (B, C', T, 1, 1)
        if self.pooling == 'max':
            return release(x.amax(dim=1))
        weights = self.attention(x) if self.pooling == 'attention' else None
        return release(Bag(x, weights).pooled())

    def _extract(self, frames: Tensor) -> Tensor:
        """Run the image model, chunk by chunk: one vector a frame."""
        learns = not self.frozen or any(
            p.requires_grad for p in self.backbone.parameters()
        )
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
        x = self.backbone(frames)
        # Not len(), which tracers take for a constant.
        count = frames.shape[0]
        return one_vector(x, count, self.backbone, self.feature_shape)
