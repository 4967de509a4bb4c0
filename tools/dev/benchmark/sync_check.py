"""Does our code make the host wait for the device?

On a GPU each look of Python at a value stops the host until everything before
is done. The profiler sees these looks on the CPU too, where they cost nothing:
so the check runs anywhere. ``tolist`` and ``numpy`` call no operator there;
only a GPU shows them.
"""

from collections import Counter
from collections.abc import Callable

import torch
from mmaction.structures import ActionDataSample
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from .contrastive import DFEW_COUNTS, labels_like_dfew
from .figure import Figure
from .options import Options

#: Operators that hand a value, or a size that depends on values, to the host.
LOOKS = (
    'aten::_local_scalar_dense',
    'aten::item',
    'aten::is_nonzero',
    'aten::nonzero',
    'aten::equal',
)
#: What the CUDA runtime calls it.
WAITS = ('cudaStreamSynchronize', 'cudaEventSynchronize')


def count_syncs(
    function: Callable[[], object], device: str = 'cpu'
) -> dict[str, int]:
    """Count what makes the host wait in a call.

    Args:
        function (Callable): Called once.
        device (str): On a GPU, waits of the CUDA runtime count too, and
            copies to the host. Defaults to ``'cpu'``.

    Returns:
        dict[str, int]: by name; empty where there is none.
    """
    activities = [ProfilerActivity.CPU]
    on_gpu = torch.device(device).type == 'cuda'
    if on_gpu:
        torch.cuda.synchronize(device)
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as seen:
        function()
    names = Counter(event.name for event in seen.events())
    found = {name: names[name] for name in LOOKS if names[name]}
    if on_gpu:
        found |= {name: names[name] for name in WAITS if names[name]}
        found |= {
            name: count for name, count in names.items() if 'DtoH' in name
        }
    return found


def training_call(
    module: nn.Module, features: Tensor, labels: Tensor
) -> Callable[[], None]:
    """Forward and backward of a neck with its loss, or of a loss.

    Args:
        module (nn.Module): A neck on bags, which gets data samples, or a loss
            on bag features.
        features (Tensor): (N * M, C) for a neck, (N, C) for a loss.
        labels (Tensor): (N,), on the same device.
    """
    samples = [ActionDataSample(gt_label=label[None]) for label in labels]

    def run() -> None:
        x = features.detach().requires_grad_()
        if hasattr(module, 'num_instances'):
            out, losses = module(x, data_samples=samples)
            total = out.sum() + sum(losses.values())
        else:
            total = module(x, labels)
        total.backward()

    return run


def syncs_of(
    module: nn.Module, channels: int, videos: int = 14, device: str = 'cpu'
) -> dict[str, int]:
    """Count the waits of one module from its second training call on.

    The first call looks at labels and class counts on purpose, once.
    """
    module = module.to(device).train()
    for part in module.modules():
        if hasattr(part, 'set_class_counts'):
            part.set_class_counts(DFEW_COUNTS)
    rows = videos * getattr(module, 'num_instances', 1)
    features = torch.randn(rows, channels, device=device)
    call = training_call(module, features, labels_like_dfew(videos).to(device))
    call()
    return count_syncs(call, device)


def measure_syncs(model: nn.Module, options: Options) -> list[Figure]:
    """Count the waits of neck and losses of a recognizer."""
    neck = model.neck
    channels = model.cls_head.in_channels
    cases = [
        (type(neck).__name__, neck, neck.necks[0].in_channels),
        (type(neck.aux_loss).__name__, neck.aux_loss, channels),
    ]
    found = []
    for name, module, size in cases:
        syncs = syncs_of(module, size, device=options.device)
        found.append(
            Figure(
                dict(what='host waits for device', part=name),
                'count',
                ours=float(sum(syncs.values())),
                unit='a training call',
                bar=0.0,
                note=', '.join(f'{k} {n}' for k, n in syncs.items()),
            )
        )
    return found
