"""GEIIM and WIAN as plain Python loops over the instances of a bag.

What one would write first, on the parameters of the registered necks: the
reference for their values and for their speed. Only the videos of a batch are
taken together.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from micacl_mm.models.layers import DMIN, MixHop, MultiscaleConv
from micacl_mm.models.layers.gated_attention import GatedAttention
from micacl_mm.models.layers.instance_attention import InstanceAttention
from micacl_mm.models.necks import GEIIM, WIAN

#: M tensors (N, C), an instance each.
Instances = list[Tensor]


def plain_geiim(neck: GEIIM, x: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, M, C) and weights (N, M) of GEIIM.

    Args:
        neck (GEIIM): With ``weight_source='linear'``.
        x (Tensor): shape (N, M, C).
    """
    instances = list(x.unbind(1))
    h = _mix_hop(neck.graph_conv, instances, neck.adjacency())
    h = _window_conv(neck.window_conv, h)
    out = [
        neck.norm(before + neck.project(neck.act(part)))
        for before, part in zip(instances, h, strict=True)
    ]
    return torch.stack(out, 1), _softmax([neck.score(part) for part in out])


def _softmax(scores: Instances) -> Tensor:
    """Scores (N, 1) of each instance to weights (N, M)."""
    powers = [score.exp() for score in scores]
    whole = sum(powers)
    return torch.cat([power / whole for power in powers], 1)


def _mix_hop(layer: MixHop, x: Instances, adjacency: Tensor) -> Instances:
    size = range(len(x))
    rows = []
    for i in size:
        row = [adjacency[i, j] + float(i == j) for j in size]
        whole = sum(row)
        rows.append([entry / whole for entry in row])
    hops = [x]
    for _ in range(layer.depth):
        hop = []
        for i in size:
            spread = sum(rows[i][j] * hops[-1][j] for j in size)
            hop.append(layer.alpha * x[i] + (1 - layer.alpha) * spread)
        hops.append(hop)
    return [
        layer.project(torch.cat([hop[i] for hop in hops], -1)) for i in size
    ]


def _window_conv(layer: MultiscaleConv, x: Instances) -> Instances:
    out = []
    for i in range(len(x)):
        total = 0
        for conv in layer.convs:
            width = conv.kernel_size[0]
            first = i - (width - 1) // 2
            for k in range(width):
                if 0 <= first + k < len(x):
                    total = total + conv.weight[:, 0, k] * x[first + k]
            total = total + conv.bias
        out.append(total)
    return out


def plain_wian(neck: WIAN, x: Tensor) -> Tensor:
    """Bag features (N, C') of WIAN.

    Args:
        neck (WIAN): With ``norm='dmin'``, ``residual='mean'`` and attention
            of its own.
        x (Tensor): shape (N, M, C).
    """
    instances = list(x.unbind(1))
    weights = _gated_attention(neck.weigh, instances)
    size = len(instances)
    h = [size * weights[:, i, None] * instances[i] for i in range(size)]
    h = _lstm(neck.recurrent, h)
    gate = _dmin(neck.norm, _attention(neck.attention, h))
    chain = neck.squeeze.bias
    for i in range(size):
        row = (h[i] * gate[i].sigmoid()).unsqueeze(1)
        kernel = neck.squeeze.weight[:, i : i + 1]
        chain = chain + F.conv1d(row, kernel, padding=1).squeeze(1)
    mean = sum(instances) / size
    return neck.skip(mean) + neck.gain * chain


def _gated_attention(layer: GatedAttention, x: Instances) -> Tensor:
    scores = [
        layer.score(layer.value(part).tanh() * layer.gate(part).sigmoid())
        for part in x
    ]
    return _softmax(scores)


def _lstm(layer: nn.LSTM, x: Instances) -> Instances:
    for depth in range(layer.num_layers):
        ahead = _lstm_way(layer, f'l{depth}', x)
        back = _lstm_way(layer, f'l{depth}_reverse', x[::-1])[::-1]
        x = [torch.cat(pair, -1) for pair in zip(ahead, back, strict=True)]
    return x


def _lstm_way(layer: nn.LSTM, name: str, x: Instances) -> Instances:
    of_x, of_h, bias_x, bias_h = (
        getattr(layer, f'{kind}_{name}')
        for kind in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
    )
    h = cell = x[0].new_zeros(len(x[0]), layer.hidden_size)
    out = []
    for part in x:
        gates = F.linear(part, of_x, bias_x) + F.linear(h, of_h, bias_h)
        take, keep, new, show = gates.chunk(4, -1)
        cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
        h = show.sigmoid() * cell.tanh()
        out.append(h)
    return out


def _attention(layer: InstanceAttention, x: Instances) -> Instances:
    parts = [
        layer.qkv(part).unflatten(-1, (3, layer.num_heads, -1)).unbind(1)
        for part in x
    ]  # each (N, heads, C / heads)
    out = []
    for query, _, _ in parts:
        powers, total = [], 0
        for _, key, _ in parts:
            score = (query * key).sum(-1, keepdim=True)
            powers.append((score / query.shape[-1] ** 0.5).exp())
        whole = sum(powers)
        for power, (_, _, value) in zip(powers, parts, strict=True):
            total = total + power / whole * value
        out.append(layer.project(total.flatten(1)))
    return out


def _dmin(layer: DMIN, x: Instances) -> Instances:
    size = len(x)
    mean_ins = sum(x) / size  # (N, C)
    var_ins = sum((part - mean_ins) ** 2 for part in x) / size
    mean_bag = sum(part.mean(-1, keepdim=True) for part in x) / size
    var_bag = sum(
        ((part - mean_bag) ** 2).mean(-1, keepdim=True) for part in x
    )
    a, b = layer.mean_mix.softmax(0), layer.var_mix.softmax(0)
    mean = a[0] * mean_ins + a[1] * mean_bag
    scale = (b[0] * var_ins + b[1] * var_bag / size + layer.eps).rsqrt()
    return [(part - mean) * scale * layer.weight + layer.bias for part in x]
