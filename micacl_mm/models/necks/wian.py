"""Weighted instance aggregation."""

import torch
from mmaction.utils import OptConfigType
from torch import Tensor, nn

from micacl_mm.arguments import check_count, checked_arguments
from micacl_mm.registry import MODELS

from ..bag import Bag
from ..layers import DMIN, GatedAttention, InstanceAttention
from .base_bag_neck import BaseBagNeck


@MODELS.register_module()
@checked_arguments
class WIAN(BaseBagNeck):
    r"""Weighted Instance Aggregation Network.

    From `MICACL <https://arxiv.org/abs/2509.04344>`_. Weighted
    instances run through a bidirectional recurrent chain and attend to each
    other, and a convolution over them leaves one bag feature:

    .. math::
        H &= \mathrm{BiLSTM}(M w_m x_m) \\
        Z &= \mathrm{Conv1d}\big(H \odot
            \sigma(\mathrm{Norm}(\mathrm{MHSA}(H)))\big) \\
        y &= P\,\bar x + g\,Z

    The recurrent chain fed with weighted instances, the attention, norm and
    Conv1d are [paper]; the sizes, DMIN and the gate are [kin]; the last line,
    with g = 0 at the start, is [ours]: the untrained neck is mean pooling.

    Args:
        in_channels (int): C, size of an instance feature. Defaults to 512.
        out_channels (int): C', size of the bag feature; an even multiple of
            ``num_heads``. Defaults to 1024 [kin].
        num_instances (int): M. Defaults to 4 [paper].
        num_layers (int): Layers of the BiLSTM. Defaults to 2 [kin].
        num_heads (int): Heads of the attention. Defaults to 8 [kin].
        norm (str): ``'dmin'`` [kin] or ``'layer'``. Defaults to ``'dmin'``.
        residual (str): What the chain's result is added to: ``'mean'`` or
            ``'weighted'``, the plain or weighted mean of the instances, or
            ``'none'``, the plain chain of the figure.
            Defaults to ``'mean'`` [ours].
        weight_source (str): ``'auto'`` takes the weights of the neck in
            front (GEIIM) [paper] and, where there is none, gated attention
            [ours]; ``'attention'`` is always gated attention; ``'uniform'``
            weighs all alike, as [kin] does. Defaults to ``'auto'``.
        aux_loss (dict, optional): A loss on the bag feature.
        init_cfg (dict, optional): MMEngine's initialization config.

    Shapes:
        A bag (N, M, C), with or without weights (N, M), becomes a bag
        (N, 1, C'); a recognizer gets (N, C', 1, 1, 1).

    Raises:
        ValueError: ``norm``, ``residual`` or ``weight_source`` is unknown, or
            ``out_channels`` cannot be split over heads and directions, or a
            size is not positive.
        TypeError: An argument is of another type.

    Examples:
        >>> neck = MODELS.build(dict(type='WIAN', in_channels=512))
        >>> feats, losses = neck(torch.rand(2 * 4, 512, 1, 7, 7))
        >>> feats.shape
        torch.Size([2, 1024, 1, 1, 1])
    """

    aggregates = True

    def __init__(
        self,
        in_channels: int = 512,
        out_channels: int = 1024,
        num_instances: int = 4,
        num_layers: int = 2,
        num_heads: int = 8,
        norm: str = 'dmin',
        residual: str = 'mean',
        weight_source: str = 'auto',
        aux_loss: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(num_instances, aux_loss, init_cfg)
        self._check(out_channels, norm, residual, weight_source)
        check_count(
            'WIAN',
            in_channels=in_channels,
            out_channels=out_channels,
            num_layers=num_layers,
            num_heads=num_heads,
        )
        if out_channels % num_heads:
            raise ValueError(
                f'WIAN: out_channels must be a multiple of num_heads='
                f'{num_heads}, got {out_channels}; change one of them'
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.residual = residual
        self.weight_source = weight_source
        self.weigh = None
        if weight_source != 'uniform':
            self.weigh = GatedAttention(in_channels)
        self.recurrent = nn.LSTM(
            int(in_channels),  # which takes no number of NumPy
            int(out_channels) // 2,
            int(num_layers),
            batch_first=True,
            bidirectional=True,
        )
        self.attention = InstanceAttention(out_channels, num_heads)
        self.norm = {'dmin': DMIN, 'layer': nn.LayerNorm}[norm](out_channels)
        self.squeeze = nn.Conv1d(num_instances, 1, 3, padding=1)
        if residual != 'none':
            self.gain = nn.Parameter(torch.zeros(1))
            self.skip = nn.Linear(in_channels, out_channels, bias=False)
            # Keeps lengths and angles, so that it starts as a plain copy.
            nn.init.orthogonal_(self.skip.weight)

    @staticmethod
    def _check(
        out_channels: int, norm: str, residual: str, weight_source: str
    ) -> None:
        if norm not in ('dmin', 'layer'):
            raise ValueError(
                f"WIAN: norm must be 'dmin' or 'layer', got {norm!r}"
            )
        if residual not in ('mean', 'weighted', 'none'):
            raise ValueError(
                "WIAN: residual must be 'mean', 'weighted' or 'none', got "
                f'{residual!r}'
            )
        if weight_source not in ('auto', 'attention', 'uniform'):
            raise ValueError(
                "WIAN: weight_source must be 'auto', 'attention' or "
                f"'uniform', got {weight_source!r}"
            )
        if out_channels % 2:
            raise ValueError(
                'WIAN: out_channels must be even, one half for each direction '
                f'of the BiLSTM, got {out_channels}'
            )

    @property
    def uses_weights(self) -> bool:
        """Whether weights that come with the bags are wanted."""
        return self.weight_source == 'auto'

    def take_weights(self) -> None:
        """Drop the attention of one's own for the weights of the bag."""
        del self.weigh
        self.weigh = None  # no module any more, just an attribute

    def process(self, bag: Bag) -> Bag:
        """Aggregate the instances of each bag into one."""
        x, weights = bag  # (N, M, C), (N, M) or None
        if self.weigh is not None:
            weights = self.weigh(x)
        if weights is None or self.weight_source == 'uniform':
            weights = x.new_full(x.shape[:2], 1 / x.shape[1])
        out = self._chain(x, weights)  # (N, C')
        if self.residual != 'none':
            centre = Bag(x, weights if self.residual == 'weighted' else None)
            out = self.skip(centre.pooled()) + self.gain * out
        return Bag(out.unsqueeze(1))

    def _chain(self, x: Tensor, weights: Tensor) -> Tensor:
        """BiLSTM, self-attention, norm and Conv1d: (N, M, C) -> (N, C')."""
        # Times M: equal weights leave the scale of the features unchanged.
        h = x.shape[1] * weights.unsqueeze(-1) * x  # (N, M, C)
        device = h.device.type
        if torch.is_autocast_enabled(device):
            # CPUs without AVX512 have no LSTM of mixed precisions.
            h = h.to(torch.get_autocast_dtype(device))
        h, _ = self.recurrent(h)  # (N, M, C')
        gate = self.norm(self.attention(h)).sigmoid()  # (N, M, C')
        return self.squeeze(h * gate).squeeze(1)  # (N, C')
