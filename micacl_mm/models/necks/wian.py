"""Weighted instance aggregation."""

from typing import Optional, Union

import torch
from mmaction.utils import OptConfigType
from torch import Tensor, nn

from micacl_mm.errors import check_choice, check_count
from micacl_mm.registry import MODELS

from ..bag import Bag
from ..layers import DMIN, GatedAttention, GatedRecurrence, InstanceAttention
from .base_bag_neck import BaseBagNeck


@MODELS.register_module()
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
    In the [author code] the weights gate the candidates of the recurrence
    instead of its input, and there is no residual.

    Weights may also be gates of the channels, (N, M, C). A gated recurrence
    takes them as they are, and C' must then be 2 C. Otherwise they are
    multiplied by their number, M or C, so that equal weights change nothing.

    Args:
        in_channels (int): C, size of an instance feature. Defaults to 512.
        out_channels (int): C', size of the bag feature; an even multiple of
            ``num_heads``. Defaults to 1024 [kin].
        num_instances (int): M. Defaults to 4 [paper].
        recurrence (str): ``'bilstm'`` of weighted input [paper], or
            ``'gated'``, see
            :class:`~micacl_mm.models.layers.GatedRecurrence` [author code].
            Defaults to ``'bilstm'``.
        num_layers (int, optional): Layers of the recurrence. Defaults to
            None: 2 of a BiLSTM [kin], 4 of a gated one [author code].
        num_heads (int): Heads of the attention. Defaults to 8 [kin].
        qkv_only (bool): Leave out the attention's biases and output
            projection [kin]. Defaults to False [ours].
        unbiased (bool): Divide DMIN's variance over the instances by M - 1
            [kin] instead of M. Defaults to False [ours].
        residual (str): What the chain's result is added to: ``'mean'`` or
            ``'weighted'``, the plain or weighted mean of the instances, or
            ``'none'``, the plain chain of the figure.
            Defaults to ``'mean'`` [ours].
        weight_source (str): ``'auto'`` takes the weights of the neck in
            front (GEIIM) [paper] and, where there is none, gated attention
            [ours]; ``'uniform'`` weighs all alike, as [kin] does. Defaults
            to ``'auto'``.
        aux_loss (dict or nn.Module, optional): A loss on the bag feature.
        init_cfg (dict, optional): MMEngine's initialization config.

    Shapes:
        A bag (N, M, C), with or without weights, becomes a bag (N, 1, C'); a
        recognizer gets (N, C', 1, 1, 1).

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
        recurrence: str = 'bilstm',
        num_layers: Optional[int] = None,
        num_heads: int = 8,
        qkv_only: bool = False,
        unbiased: bool = False,
        residual: str = 'mean',
        weight_source: str = 'auto',
        aux_loss: Union[dict, nn.Module, None] = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(num_instances, aux_loss, init_cfg)
        check_choice('WIAN', ('bilstm', 'gated'), recurrence=recurrence)
        check_choice('WIAN', ('mean', 'weighted', 'none'), residual=residual)
        check_choice('WIAN', ('auto', 'uniform'), weight_source=weight_source)
        gated = recurrence == 'gated'
        if num_layers is None:
            num_layers = 4 if gated else 2
        check_count(
            'WIAN',
            in_channels=in_channels,
            out_channels=out_channels,
            num_layers=num_layers,
            num_heads=num_heads,
        )
        halves = 4 if gated else 2  # the gated recurrence has 4 heads
        for name, value in (('num_heads', num_heads), ('recurrence', halves)):
            if out_channels % value:
                raise ValueError(
                    f'WIAN: out_channels must be a multiple of {value} for '
                    f'its {name}, got {out_channels}; change one of them'
                )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.residual = residual
        self.weight_source = weight_source
        self.weigh = None
        if weight_source != 'uniform':
            self.weigh = GatedAttention(in_channels)
        # nn.LSTM takes no number of NumPy.
        sizes = int(in_channels), int(out_channels) // 2, int(num_layers)
        if gated:
            self.recurrent = GatedRecurrence(*sizes)
        else:
            self.recurrent = nn.LSTM(
                *sizes, batch_first=True, bidirectional=True
            )
        self.attention = InstanceAttention(out_channels, num_heads, qkv_only)
        self.norm = DMIN(out_channels, unbiased)
        self.squeeze = nn.Conv1d(num_instances, 1, 3, padding=1)
        if residual != 'none':
            self.gain = nn.Parameter(torch.zeros(1))
            self.skip = nn.Linear(in_channels, out_channels, bias=False)
            # Keeps lengths and angles, so that it starts as a plain copy.
            nn.init.orthogonal_(self.skip.weight)

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
        x, weights = bag  # (N, M, C); (N, M), (N, M, C) or None
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
        """Recurrence, attention, norm and Conv1d: (N, M, C) -> (N, C')."""
        vectors = weights.dim() == 3
        if not vectors:
            # Times M: equal weights leave the scale of the features unchanged.
            weights = x.shape[1] * weights.unsqueeze(-1)  # (N, M, 1)
        if isinstance(self.recurrent, GatedRecurrence):
            half = self.out_channels // 2
            if vectors and weights.shape[2] != half:
                raise ValueError(
                    'WIAN: the gates of a gated recurrence must be half as '
                    f'many as out_channels={self.out_channels}, got '
                    f'{weights.shape[2]}; set out_channels='
                    f'{2 * weights.shape[2]}'
                )
            h = self.recurrent(x, weights)  # (N, M, C')
        else:
            h = weights * x  # (N, M, C)
            if vectors:
                h = h * x.shape[2]
            device = h.device.type
            if torch.is_autocast_enabled(device):
                # CPUs without AVX512 have no LSTM of mixed precisions.
                h = h.to(torch.get_autocast_dtype(device))
            h, _ = self.recurrent(h)  # (N, M, C')
        gate = self.norm(self.attention(h)).sigmoid()  # (N, M, C')
        return self.squeeze(h * gate).squeeze(1)  # (N, C')
