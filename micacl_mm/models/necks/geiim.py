"""Graph-enhanced instance interaction."""

from collections.abc import Sequence
from typing import Optional

from mmaction.utils import OptConfigType
from torch import nn

from micacl_mm.arguments import check_count, checked_arguments
from micacl_mm.registry import MODELS

from ..bag import Bag
from ..layers import AdaptiveAdjacency, MixHop, MultiscaleConv
from .base_bag_neck import BaseBagNeck


@MODELS.register_module()
@checked_arguments
class GEIIM(BaseBagNeck):
    r"""Graph-Enhanced Instance Interaction Module.

    From `MICACL <https://arxiv.org/abs/2509.04344>`_. Instances
    exchange information over a learned graph and over windows of neighbours,
    and each gets a weight that says how much depends on it:

    .. math::
        Y &= \mathrm{LN}\big(X + W\,\mathrm{GELU}(\textstyle\sum_k
            \mathrm{Conv}_k(\mathrm{MixHop}(X, A)))\big) \\
        w &= \mathrm{softmax}_m(\mathrm{score}(Y))

    The graph convolution, the multiscale convolutions and the weights handed
    on are [paper]; the adaptive adjacency is [review]; mix-hop, GELU, linear,
    residual and LayerNorm are [kin]; the score is [ours].

    Args:
        in_channels (int): C, size of an instance feature. Defaults to 512.
        num_instances (int): M. Defaults to 4 [paper].
        embed_dims (int): Size of a node embedding. Defaults to 10 [kin].
        depth (int): Hops of the graph convolution. Defaults to 1 [kin].
        alpha (float): Share of the input kept at each hop.
            Defaults to 0.7 [kin].
        kernel_sizes (Sequence[int], optional): Widths of the convolutions in
            instances. Defaults to None, which stands for (1, 3, M) [ours].
        weight_source (str): ``'linear'`` scores each instance by a linear
            layer on the output, starting at equal weights; ``'adjacency'``
            by the column sums of A, what the others draw from it.
            Defaults to ``'linear'`` [ours].
        zero_init (bool): Start with f(X) = 0, so that the untrained neck only
            normalises. Defaults to True [ours].
        aux_loss (dict, optional): A loss on the weighted mean of the output.
        init_cfg (dict, optional): MMEngine's initialization config.

    Shapes:
        A bag (N, M, C) becomes a bag (N, M, C) with weights (N, M); alone in
        a recognizer it returns their weighted mean, (N, C, 1, 1, 1).

    Raises:
        ValueError: ``weight_source`` is unknown, a size or width is not
            positive, or ``alpha`` no share.
        TypeError: An argument is of another type.

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
        embed_dims: int = 10,
        depth: int = 1,
        alpha: float = 0.7,
        kernel_sizes: Optional[Sequence[int]] = None,
        weight_source: str = 'linear',
        zero_init: bool = True,
        aux_loss: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(num_instances, aux_loss, init_cfg)
        if weight_source not in ('linear', 'adjacency'):
            raise ValueError(
                "GEIIM: weight_source must be 'linear' or 'adjacency', got "
                f'{weight_source!r}'
            )
        check_count('GEIIM', in_channels=in_channels, embed_dims=embed_dims)
        check_count('GEIIM', 0, depth=depth)
        if not 0 <= alpha <= 1:
            raise ValueError(f'GEIIM: alpha must be in [0, 1], got {alpha}')
        if kernel_sizes is not None and min(kernel_sizes, default=0) < 1:
            raise ValueError(
                'GEIIM: kernel_sizes must be positive and not empty, got '
                f'{kernel_sizes}'
            )
        check_count('GEIIM', kernel_sizes=max(kernel_sizes or (1,)))
        if kernel_sizes is None:
            kernel_sizes = (1, min(3, num_instances), num_instances)
        self.in_channels = in_channels
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
        graph = self.adjacency()  # (M, M)
        h = self.graph_conv(x, graph)  # (N, M, C)
        h = self.project(self.act(self.window_conv(h)))  # (N, M, C)
        out = self.norm(x + h)  # (N, M, C)
        if self.weight_source == 'none':
            weights = None
        elif self.weight_source == 'adjacency':
            weights = graph.sum(dim=0).softmax(dim=-1)  # (M,)
            # Not len(x), which tracers take for a constant.
            weights = weights.expand(x.shape[0], -1)  # (N, M)
        else:
            weights = self.score(out).squeeze(-1).softmax(dim=-1)  # (N, M)
        return Bag(out, weights)
