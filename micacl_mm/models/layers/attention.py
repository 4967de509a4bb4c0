"""Attention over the instances of a bag."""

from torch import Tensor, nn
from torch.nn import functional as F


class GatedAttention(nn.Module):
    r"""Importance of each instance, by gated attention.

    .. math:: w = \mathrm{softmax}_m\, v^T(\tanh(V h_m) \odot \sigma(U h_m))

    From `Attention-based Deep Multiple Instance Learning
    <https://arxiv.org/abs/1802.04712>`_, equation 9; its place here is [ours].

    Args:
        in_channels (int): C, size of an instance feature.
        hidden_channels (int): Size of the gate. Defaults to 128.
    """

    def __init__(self, in_channels: int, hidden_channels: int = 128) -> None:
        super().__init__()
        self.value = nn.Linear(in_channels, hidden_channels)
        self.gate = nn.Linear(in_channels, hidden_channels)
        self.score = nn.Linear(hidden_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map instances (N, M, C) to weights (N, M) that sum to 1."""
        hidden = self.value(x).tanh() * self.gate(x).sigmoid()
        return self.score(hidden).squeeze(-1).softmax(dim=-1)


class InstanceAttention(nn.Module):
    """Multi-head self-attention over instances [paper], 8 x 128 [kin].

    Args:
        channels (int): C, in and out; a multiple of ``num_heads``.
        num_heads (int): Heads. Defaults to 8.
        qkv_only (bool): Leave out the biases and the output projection
            [kin]. Defaults to False [ours].
    """

    def __init__(
        self, channels: int, num_heads: int = 8, qkv_only: bool = False
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=not qkv_only)
        self.project = (
            nn.Identity() if qkv_only else nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Let the instances (N, M, C) attend to each other: (N, M, C)."""
        query, key, value = self._split(x)  # each (N, h, M, C/h)
        out = F.scaled_dot_product_attention(query, key, value)
        return self.project(out.transpose(1, 2).flatten(2))  # (N, M, C)

    def weights(self, x: Tensor) -> Tensor:
        """Who attends to whom in (N, M, C): (N, h, M, M), rows sum to 1.

        The fused attention of :meth:`forward` keeps them to itself.
        """
        query, key, _ = self._split(x)
        scores = query @ key.mT / query.shape[-1] ** 0.5
        return scores.softmax(dim=-1)

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        return qkv.permute(2, 0, 3, 1, 4).unbind()
