"""All that only a GPU can tell; every line of it also runs on the CPU."""

import gc

import torch

from .figure import Figure
from .gpu_training import measure_training
from .gpu_variants import measure_variants
from .options import Options
from .recipe import OURS, WIDTH, build_model, load_config
from .sync_check import measure_syncs
from .training_step import measure_memory, measure_steps

BATCHES = (32, 64, 128, 256)
#: bags/s are measured in it, as one would train.
DTYPE = 'bfloat16'


def measure(options: Options) -> list[Figure]:
    """Measure waits, variants, throughput, and a training to the end.

    Without a GPU the model and its frames are tiny: it then shows that all of
    it runs, and no more.
    """
    width, size = (WIDTH, 112) if options.on_gpu else (4, 32)
    model = build_model(load_config(OURS, width), options.device)
    found = measure_syncs(model, options)
    del model
    batches = BATCHES[:2] if options.quick else BATCHES
    if not options.on_gpu:
        batches = (options.batch,)
    for batch in batches:
        found += throughput(batch, options.device, width=width, size=size)
    found += measure_variants(options, width, size)
    return found + measure_training(options, width, size)


def throughput(batch: int, device: str, **kwargs) -> list[Figure]:
    """Time, memory and bags/s at one batch size, with and without MICACL."""
    kwargs = dict(device=device, dtype=DTYPE, **kwargs)
    try:
        found = measure_steps(batch, 10, **kwargs)
        _empty(device)
        found += measure_memory((batch,), ('train', 'infer'), **kwargs)
    except torch.cuda.OutOfMemoryError:
        _empty(device)
        case = dict(what='training', batch=batch, dtype=DTYPE)
        return [Figure(case, 'time', note='out of memory')]
    _empty(device)
    speeds = [
        Figure(
            f.case,
            'bags',
            ours=batch / f.ours,
            other=batch / f.other,
            than=f.than,
            unit='a second',
        )
        for f in found
        if f.quantity == 'time'
    ]
    return found + speeds


def _empty(device: str) -> None:
    gc.collect()
    if device.startswith('cuda'):
        torch.cuda.empty_cache()
