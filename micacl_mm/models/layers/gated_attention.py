"""Gated attention pooling weights (ABMIL)."""

from torch import Tensor, nn


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
