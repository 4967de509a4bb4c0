"""MCCLLoss against SupConLoss of pytorch-metric-learning.

The same work: at scale s the feature is cut into s groups, so that scales
{1, 2, 4} are seven calls of SupConLoss, which normalises each group itself.
Forward and backward.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from micacl_mm.models.losses import MCCLLoss

from . import memory
from .figure import Figure, memory_figure, time_figure
from .options import Options
from .timing import compare, exponent, time_in_turn

#: Training clips of DFEW's classes, fold 1.
DFEW_COUNTS = (1956, 1515, 2135, 1738, 1175, 116, 721)
CHANNELS = 1024
SCALES = ((1,), (1, 2, 4))
TEMPERATURE = 0.07
#: ``out`` does what SupConLoss does; ``log`` is what the recipe does.
FORMS = ('out', 'log')
TIME_BAR, MEMORY_BAR = 0.5, 0.5
#: From here on the memory has a bar.
LARGE = 1024
#: Batch sizes of the growth: quick, and in full.
GROWTH = (256, 512, 1024), (1024, 2048, 4096, 8192, 16384)
#: Quadratic memory would be 2.
GROWTH_BAR = 1.5


def labels_like_dfew(batch: int) -> Tensor:
    """Labels (B,) in DFEW's proportions, shuffled.

    From 14 videos on no class has fewer than two, so that every anchor has a
    positive.
    """
    shares = torch.tensor(DFEW_COUNTS, dtype=torch.double)
    shares = shares / shares.sum()
    lowest = 2 if batch >= 2 * len(shares) else 0
    counts = (shares * batch).round().long().clamp(min=lowest)
    while (extra := int(counts.sum()) - batch) != 0:
        counts[counts.argmax()] -= 1 if extra > 0 else -1
    labels = torch.arange(len(shares)).repeat_interleave(counts)
    order = torch.Generator().manual_seed(0)
    return labels[torch.randperm(batch, generator=order)]


def make_mccl(form: str, scales: Sequence[int]) -> nn.Module:
    """Our loss: plain for ``'out'``, as in the recipe for ``'log'``."""
    plain = dict(temperature_mode='constant', class_weight='none')
    return MCCLLoss(
        class_counts=DFEW_COUNTS,
        scales=scales,
        form=form,
        temperature=TEMPERATURE,
        loss_weight=1.0,
        **(plain if form == 'out' else {}),
    )


def make_supcon(scales: Sequence[int]) -> Callable[[Tensor, Tensor], Tensor]:
    """The other: one call of SupConLoss for each group of each scale.

    Raises:
        ImportError: pytorch-metric-learning is missing.
    """
    try:
        from pytorch_metric_learning.losses import SupConLoss
    except ImportError as error:
        raise ImportError(
            'the benchmark compares with pytorch-metric-learning; run: pip '
            'install "pytorch-metric-learning>=2.5"'
        ) from error
    loss = SupConLoss(temperature=TEMPERATURE)

    def groups(features: Tensor, labels: Tensor) -> Tensor:
        total = features.new_zeros(())
        for scale in scales:
            for group in features.chunk(scale, dim=1):
                total = total + loss(group, labels) / scale
        return total / len(scales)

    return groups


def make_batch(
    batch: int, channels: int = CHANNELS, device: str = 'cpu'
) -> tuple[Tensor, Tensor]:
    """Features (B, D) that want a gradient, and labels (B,)."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(batch, channels, generator=random).to(device)
    return features.requires_grad_(), labels_like_dfew(batch).to(device)


def step(loss: Callable, features: Tensor, labels: Tensor) -> None:
    """Forward and backward."""
    features.grad = None
    loss(features, labels).backward()


def make_step(
    which: str,
    batch: int,
    scales: Sequence[int],
    device: str = 'cpu',
    channels: int = CHANNELS,
) -> Callable[[], None]:
    """Get a step of ours (a form) or of ``'supcon'`` ready, warmed up."""
    loss = make_supcon(scales)
    if which != 'supcon':
        loss = make_mccl(which, scales).to(device)
    warm = make_batch(64, channels, device)  # enough for the fused form
    step(loss, *warm)
    return partial(step, loss, *make_batch(batch, channels, device))


def _case(batch: int, scales: Sequence[int], form: str) -> dict:
    return dict(B=batch, scales=' '.join(map(str, scales)), form=form)


def _times(
    batch: int, scales: Sequence[int], options: Options
) -> list[Figure]:
    names = [*FORMS, 'supcon']
    device = options.device
    functions = [make_step(n, batch, scales, device, CHANNELS) for n in names]
    large = batch > LARGE  # long enough to stand for itself
    *ours, other = time_in_turn(
        functions,
        rounds=3 if options.quick or large else 11,
        fewest=3,
        longest=10,
        device=device,
    )
    return [
        time_figure(
            _case(batch, scales, form),
            compare(times, other),
            'SupConLoss',
            bar=TIME_BAR,
        )
        for form, times in zip(FORMS, ours, strict=True)
    ]


def _memory(
    batches: Sequence[int], device: str, channels: int = CHANNELS
) -> list[Figure]:
    names = [*FORMS, 'supcon']
    keys = [(b, s) for b in batches for s in SCALES]
    cases = [
        dict(which=n, batch=b, scales=s, device=device, channels=channels)
        for b, s in keys
        for n in names
    ]
    found = iter(memory.peaks(f'{__name__}:make_step', cases, device))
    figures = []
    for batch, scales in keys:
        *ours, other = (next(found).bytes for _ in names)
        bar = MEMORY_BAR if batch >= LARGE else None
        figures += [
            memory_figure(
                _case(batch, scales, form), peak, other, 'SupConLoss', bar=bar
            )
            for form, peak in zip(FORMS, ours, strict=True)
        ]
    return figures


def measure(options: Options) -> list[Figure]:
    """Measure times and memory at several batch sizes."""
    sizes = (64, 256) if options.quick else (64, 256, 1024, 4096)
    found = []
    for batch in sizes:
        for scales in SCALES:
            found += _times(batch, scales, options)
    return found + _memory(sizes, options.device)


def measure_growth(options: Options) -> list[Figure]:
    """Measure how time and memory of the recipe's loss grow with B.

    At scale 1: each further scale adds the same work once more.
    """
    sizes = GROWTH[0] if options.quick else GROWTH[1]
    cases = [
        dict(which='log', batch=b, scales=(1,), device=options.device)
        for b in sizes
    ]
    make = f'{__name__}:make_step'
    found = memory.peaks(make, cases, options.device, calls=3)
    return growth_figures(
        sizes, [p.seconds for p in found], [p.bytes for p in found]
    )


def growth_figures(
    sizes: Sequence[int], seconds: Sequence[float], peaks: Sequence[int]
) -> list[Figure]:
    """Growth at each doubling, and exponents over all."""
    found = []
    for values, unit, what in (
        (seconds, 's', 'time'),
        (peaks, 'bytes', 'memory'),
    ):
        bar = GROWTH_BAR if what == 'memory' else None
        for i, batch in enumerate(sizes):
            found.append(
                Figure(
                    dict(B=batch),
                    what,
                    values[i] / values[i - 1] if i else None,
                    values[i],
                    values[i - 1] if i else None,
                    f'B={sizes[i - 1]}' if i else '',
                    unit=unit,
                )
            )
        found.append(
            Figure(
                dict(B=f'{sizes[0]} to {sizes[-1]}'),
                f'exponent of {what}',
                exponent(sizes, values),
                unit='exponent',
                than='B^k, fitted',
                bar=bar,
            )
        )
    return found
