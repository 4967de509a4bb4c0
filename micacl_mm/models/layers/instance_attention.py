"""Multi-head self-attention among the instances of a bag."""

from torch import Tensor, nn
from torch.nn import functional as F


class InstanceAttention(nn.Module):
    """Multi-head self-attention over instances [paper], 8 x 128 [kin].

    Args:
        channels (int): C, in and out; a multiple of ``num_heads``.
        num_heads (int): Heads. Defaults to 8.
        qkv_only (bool): Leave out the biases and the output projection
            [kin]. Defaults to False [ours].

    Raises:
        ValueError: ``channels`` is not a multiple of ``num_heads``.
    """

    def __init__(
        self, channels: int, num_heads: int = 8, qkv_only: bool = False
    ) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(
                f'InstanceAttention: channels must be a multiple of num_heads='
                f'{num_heads}, got {channels}; change one of them'
            )
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
