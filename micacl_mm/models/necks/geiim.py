"""Graph-enhanced instance interaction."""

from collections.abc import Sequence
from typing import Optional, Union

from mmaction.utils import OptConfigType
from torch import nn

from micacl_mm.errors import check_choice, check_count
from micacl_mm.registry import MODELS

from ..bag import Bag
from ..layers import AdaptiveAdjacency, MixHop, MultiscaleConv
from .base_bag_neck import BaseBagNeck


@MODELS.register_module()
class GEIIM(BaseBagNeck):
    r"""Graph-Enhanced Instance Interaction Module.

    From `MICACL <https://arxiv.org/abs/2509.04344>`_. Instances exchange
    information over a learned graph, and each gets a weight. There are two
    readings. The nodes of the graph are the instances [review]:

    .. math::
        Y = \mathrm{LN}\big(X + W\,\mathrm{GELU}(\textstyle\sum_k
            \mathrm{Conv}_k(\mathrm{MixHop}(X, A)))\big)

    or the channels [author code], each instance lifted to L maps before:

    .. math::
        Y = \mathrm{LN}\big(X + W\,\mathrm{Conv}_{1 \times M}(
            \mathrm{GELU}(\mathrm{MixHop}(\mathrm{lift}(X^T), A)))^T\big)

    The graph convolution, convolutions of several widths and the weights
    handed on are [paper]; the adjacency is [review]; mix-hop, GELU, linear
    layer, residual and LayerNorm are [author code]. The grades are defined in
    docs/method.md.

    Args:
        in_channels (int): C, size of an instance feature. Defaults to 512.
        num_instances (int): M. Defaults to 4 [paper].
        nodes (str): Nodes of the graph, ``'instances'`` [review] or
            ``'channels'`` [author code]. Defaults to ``'instances'``.
        lift_channels (int): L, maps of the graph over channels. Defaults to
            32 [author code].
        embed_dims (int, optional): Size of a node embedding. Defaults to
            None: 10 for instances [ours], 32 for channels [author code].
        depth (int): Hops of the graph convolution. Defaults to 1
            [author code].
        alpha (float): Share of the input kept at each hop. Defaults to 0.7
            [author code].
        kernel_sizes (Sequence[int], optional): Widths in instances of the
            convolutions after the graph over instances. Defaults to None,
            which means (1, 3, M) [ours].
        weight_source (str): ``'linear'`` scores each instance by a linear
            layer on the output, starting at equal weights [ours];
            ``'channels'`` gives each instance a gate for each channel, the
            softmax of its output over the channels [author code]. Defaults
            to ``'linear'``.
        zero_init (bool): Start with f(X) = 0, so that the untrained neck only
            normalises. Defaults to True [ours].
        aux_loss (dict or nn.Module, optional): A loss on the weighted mean
            of the output.
        init_cfg (dict, optional): MMEngine's initialization config.

    Shapes:
        A bag (N, M, C) becomes a bag (N, M, C) with weights (N, M), or gates
        (N, M, C). Alone in a recognizer the neck returns the weighted mean,
        (N, C, 1, 1, 1); with gates, the plain mean.

    Examples:
        >>> neck = MODELS.build(dict(type='GEIIM', in_channels=512))
        >>> feats, losses = neck(torch.rand(2 * 4, 512, 1, 7, 7))
        >>> feats.shape
        torch.Size([2, 512, 1, 1, 1])
    """

    sets_weights = True

    def __init__(
        self,
        in_channels: int = 512,
        num_instances: int = 4,
        nodes: str = 'instances',
        lift_channels: int = 32,
        embed_dims: Optional[int] = None,
        depth: int = 1,
        alpha: float = 0.7,
        kernel_sizes: Optional[Sequence[int]] = None,
        weight_source: str = 'linear',
        zero_init: bool = True,
        aux_loss: Union[dict, nn.Module, None] = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(num_instances, aux_loss, init_cfg)
        check_choice('GEIIM', ('instances', 'channels'), nodes=nodes)
        sources = ('linear', 'channels')
        check_choice('GEIIM', sources, weight_source=weight_source)
        over_channels = nodes == 'channels'
        if over_channels and kernel_sizes is not None:
            raise ValueError(
                "GEIIM: kernel_sizes has no use with nodes='channels'; leave "
                'it out'
            )
        if kernel_sizes is None:
            kernel_sizes = (1, min(3, num_instances), num_instances)
        if min(kernel_sizes, default=0) < 1:
            raise ValueError(
                'GEIIM: kernel_sizes must be positive and not empty, got '
                f'{kernel_sizes}'
            )
        if embed_dims is None:
            embed_dims = 32 if over_channels else 10
        check_count(
            'GEIIM',
            in_channels=in_channels,
            lift_channels=lift_channels,
            embed_dims=embed_dims,
            kernel_sizes=max(kernel_sizes),
        )
        check_count('GEIIM', 0, depth=depth)
        if not 0 <= alpha <= 1:
            raise ValueError(f'GEIIM: alpha must be in [0, 1], got {alpha}')
        self.in_channels = in_channels
        self.nodes = nodes
        if over_channels:
            self.adjacency = AdaptiveAdjacency(in_channels, embed_dims)
            self.lift = nn.Linear(1, lift_channels)
            self.graph_conv = MixHop(lift_channels, depth, alpha)
            # The convolution of kernel (1, M) to M maps.
            self.mix = nn.Linear(num_instances * lift_channels, num_instances)
        else:
            self.adjacency = AdaptiveAdjacency(num_instances, embed_dims)
            self.graph_conv = MixHop(in_channels, depth, alpha)
            self.window_conv = MultiscaleConv(in_channels, tuple(kernel_sizes))
        self.act = nn.GELU()
        self.project = nn.Linear(in_channels, in_channels)
        self.norm = nn.LayerNorm(in_channels)
        self.weight_source = weight_source
        if weight_source == 'linear':
            # No bias: the softmax over the instances would cancel it.
            self.score = nn.Linear(in_channels, 1, bias=False)
            nn.init.zeros_(self.score.weight)
        if zero_init:
            nn.init.zeros_(self.project.weight)
            nn.init.zeros_(self.project.bias)

    def drop_weights(self) -> None:
        """Leave out the score, which would get no gradient."""
        if self.weight_source == 'linear':
            del self.score
        self.weight_source = 'none'

    def process(self, bag: Bag) -> Bag:
        """Let the instances of each bag interact and weigh them."""
        x = bag.features  # (N, M, C)
        graph = self.adjacency()  # (M, M) or (C, C)
        if self.nodes == 'channels':
            h = self.lift(x.mT.unsqueeze(-1))  # (N, C, M, L)
            h = self.act(self.graph_conv(h, graph))  # (N, C, M, L)
            h = self.mix(h.flatten(2)).mT  # (N, M, C)
        else:
            h = self.graph_conv(x, graph)  # (N, M, C)
            h = self.act(self.window_conv(h))  # (N, M, C)
        out = self.norm(x + self.project(h))  # (N, M, C)
        if self.weight_source == 'none':
            weights = None
        elif self.weight_source == 'channels':
            weights = out.softmax(dim=-1)  # (N, M, C)
        else:
            weights = self.score(out).squeeze(-1).softmax(dim=-1)  # (N, M)
        return Bag(out, weights)
