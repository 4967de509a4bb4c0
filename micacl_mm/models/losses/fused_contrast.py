"""The contrastive term and its gradient in one pass, block by block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

#: Shortest feature group that has a direction.
EPS = 1e-6
#: Largest matrix of similarities that is held as a whole, in numbers.
LARGEST_MATRIX = 1 << 24
#: Rows of a block, which a core's cache holds; on a GPU as many as fit.
ROWS = 128


@dataclass(frozen=True)
class Pairs:
    """Who meets whom, B anchors and K keys, and what it weighs.

    ``labels`` and ``key_labels`` are classes, (B,) and (K,), or distributions
    over them. The anchors stand at rows ``offset`` to ``offset + B`` of the
    keys. ``weights`` (B,) are 0 for the anchors that ``hopeless`` (B,) marks,
    those without any positive.
    """

    labels: Tensor
    key_labels: Tensor
    hopeless: Tensor
    weights: Tensor
    temperature: Tensor
    offset: int
    form: str
    include_self: bool
    constants: int = 0  # keys at the end that want no gradient

    def shares(self, rows: slice) -> Tensor:
        """How much of a positive each key is to some anchors, (rows, K)."""
        labels = self.labels[rows]
        if labels.dim() == 1:
            shares = labels[:, None] == self.key_labels
        else:
            shares = labels @ self.key_labels.mT
        self.own(shares, rows).fill_(self.include_self)
        return shares

    def own(self, matrix: Tensor, rows: slice) -> Tensor:
        """View of where some anchors meet themselves, (rows,)."""
        return matrix.diagonal(self.offset + rows.start)


class FusedContrast(torch.autograd.Function):
    """Value and gradients of the contrastive term in the forward pass.

    The matrix of similarities lives for one feature group at a time, and its
    gradient takes its place. Where anchors and keys are the same, half of the
    products are mirrored and both gradients are one product: 3 instead of the
    6 :math:`B^2 D` operations of autograd. Where the matrix would be larger
    than ``LARGEST_MATRIX``, or anchors and keys differ, blocks of its rows
    come and go, so that memory grows with K and not with BK.
    """

    @staticmethod
    def forward(
        ctx,
        features: Tensor,
        keys: Optional[Tensor],
        weights: Tensor,
        scales: Sequence[int],
        pairs: Pairs,
    ) -> Tensor:
        """Contrast (B, D) with (K, D), or with itself; returns a scalar.

        ``weights`` are those of ``pairs``, here for their gradient.
        """
        inputs = (features, keys)
        grads = [
            torch.zeros_like(x) if needed else None
            for x, needed in zip(inputs, ctx.needs_input_grad, strict=False)
        ]
        size = len(features)
        terms = features.new_zeros(size)
        matrix = None
        if keys is None and size**2 <= LARGEST_MATRIX:
            matrix = features.new_empty(size, size)  # for all groups
        for scale in scales:
            for group in range(scale):
                parts = [
                    None if x is None else x.chunk(scale, dim=1)[group]
                    for x in (*inputs, *grads)
                ]
                terms += _contrast(*parts, pairs, matrix, 1 / scale)
        ctx.grads, ctx.count = (*grads, terms), size * len(scales)
        return terms @ weights / ctx.count

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        """Scale what the forward pass has found.

        Raises:
            RuntimeError: Second derivatives are wanted.
        """
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError(
                'mccl: the loss has no second derivatives; leave '
                'create_graph=True out'
            )
        factor = grad / ctx.count
        grads = [None if g is None else g * factor for g in ctx.grads]
        return (*grads, None, None)


def _contrast(
    anchors: Tensor,
    keys: Optional[Tensor],
    anchor_grad: Optional[Tensor],
    key_grad: Optional[Tensor],
    pairs: Pairs,
    matrix: Optional[Tensor],
    factor: float,
) -> Tensor:
    """Terms (B,) of one feature group; adds to the gradients."""
    x, x_scale = _unit(anchors)
    x_grad = None if anchor_grad is None else torch.zeros_like(x)
    if keys is None:
        if matrix is None:
            terms = _by_rows(x, x, x_grad, x_grad, pairs)
        else:
            terms = _whole(x, x_grad, pairs, matrix)
    else:
        y, y_scale = _unit(keys)
        y_grad = None
        if key_grad is not None:
            key_grad = key_grad[: len(y) - pairs.constants]
            y_grad = torch.zeros_like(y[: len(key_grad)])
        terms = _by_rows(x, y, x_grad, y_grad, pairs)
        _add_through_unit(key_grad, y_grad, y, y_scale, factor)
    _add_through_unit(anchor_grad, x_grad, x, x_scale, factor)
    return terms * factor


def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Unit rows and what they were multiplied by; rows of zeros stay so."""
    lengths = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    scale = torch.where(lengths > EPS, 1 / lengths, 0)
    return x * scale, scale


def _add_through_unit(
    total: Optional[Tensor],
    grad: Optional[Tensor],
    unit: Tensor,
    scale: Tensor,
    factor: float,
) -> None:
    """Add the gradient with respect to what ``_unit`` was given.

    ``grad`` may be of the first rows alone.
    """
    if total is None:
        return
    unit, scale = unit[: len(grad)], scale[: len(grad)]
    along = (grad * unit).sum(dim=1, keepdim=True)
    total.addcmul_(grad.addcmul_(unit, along, value=-1), scale, value=factor)


def _whole(
    x: Tensor, x_grad: Optional[Tensor], pairs: Pairs, matrix: Tensor
) -> Tensor:
    """Contrast unit features (B, d) with each other, in ``matrix`` (B, B)."""
    terms, blocks = x.new_empty(len(x)), _blocks(x, len(x))
    for rows in blocks:
        # Up to the diagonal they were mirrored with the rows above.
        torch.mm(x[rows], x[rows.start :].T, out=matrix[rows, rows.start :])
        if rows.stop < len(x):
            matrix[rows.stop :, rows] = matrix[rows, rows.stop :].T
        terms[rows] = _to_slopes(matrix[rows], rows, pairs)
    if x_grad is not None:
        _symmetrize(matrix, blocks)
        torch.mm(matrix, x, out=x_grad)
    return terms


def _by_rows(
    x: Tensor,
    y: Tensor,
    x_grad: Optional[Tensor],
    y_grad: Optional[Tensor],
    pairs: Pairs,
) -> Tensor:
    """Contrast unit anchors (B, d) with unit keys (K, d), a block at a time.

    Adds to the gradients, which are one where the keys are the anchors.
    """
    terms = x.new_empty(len(x))
    for rows in _blocks(x, len(y)):
        slopes = x[rows] @ y.T
        terms[rows] = _to_slopes(slopes, rows, pairs)
        if x_grad is not None:
            x_grad[rows].addmm_(slopes, y)
        if y_grad is not None:
            y_grad.addmm_(slopes[:, : len(y_grad)].T, x[rows])
    return terms


def _blocks(x: Tensor, columns: int) -> list[slice]:
    """Cut the rows of ``x`` for blocks of that many columns."""
    step = ROWS
    if x.device.type != 'cpu':
        step = max(step, LARGEST_MATRIX // columns)
    starts = range(0, len(x), step)
    return [slice(start, min(start + step, len(x))) for start in starts]


def _to_slopes(cosines: Tensor, rows: slice, pairs: Pairs) -> Tensor:
    """Turn cosines (rows, K) into slopes of the loss; return terms (rows,).

    In all forms the slope at a logit is the share of the key among all minus
    its share among the positives, times a number of the anchor.
    """
    temperature = pairs.temperature[rows, None]
    logits = cosines.div_(temperature)
    shares = pairs.shares(rows)
    hopeless = pairs.hopeless[rows, None]
    if pairs.form == 'out':
        positive = shares.to(logits.dtype)
        positive = positive / positive.sum(dim=1, keepdim=True).clamp(1e-30)
        some = (logits * positive).sum(dim=1)
    else:
        positive, some = _softmax(_among(logits, shares, hopeless))
    own = pairs.own(logits, rows)
    if not pairs.include_self:
        own.masked_fill_(~hopeless[:, 0], -torch.inf)
    every_share, every = _softmax(logits)
    values, factors = every - some, pairs.weights[rows]
    if pairs.form == 'ratio':
        values = -values.neg().exp()
        factors = factors * -values
    torch.sub(every_share, positive, out=cosines)
    cosines.mul_(factors[:, None] / temperature)
    return values


def _among(logits: Tensor, shares: Tensor, hopeless: Tensor) -> Tensor:
    """Logits of the positives, -inf elsewhere; all where there are none."""
    if shares.dtype == torch.bool:
        return torch.where(shares.logical_or_(hopeless), logits, -torch.inf)
    return logits + (shares + hopeless).log()


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax of each row and its log-sum-exp, finite at any temperature."""
    shares = logits.softmax(dim=1)
    largest = logits.amax(dim=1)
    return shares, largest - shares.amax(dim=1).log()


def _symmetrize(matrix: Tensor, blocks: Sequence[slice]) -> None:
    """Add the transposed matrix, in squares that a cache holds."""
    for i, a in enumerate(blocks):
        for b in blocks[i:]:
            both = matrix[a, b] + matrix[b, a].T
            matrix[a, b] = both
            matrix[b, a] = both.T
