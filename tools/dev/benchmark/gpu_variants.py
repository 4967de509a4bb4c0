"""What MMEngine and PyTorch offer to make a GPU faster, one by one.

Each variant is a config run by an MMEngine Runner, as a user would write it.
"""

import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Optional

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import Dataset

from micacl_mm.datasets import BaseDFERDataset

from .contrastive import DFEW_COUNTS
from .figure import Figure
from .options import Options
from .recipe import OURS, WIDTH, load_config, random_bags
from .timing import wait_for

PLAIN = 'float32'


class _Autocast(OptimWrapper):
    """bfloat16 on the CPU, which MMEngine's AmpOptimWrapper refuses."""

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu'):
            yield


def variants(on_gpu: bool) -> dict[str, dict]:
    """Config options of each variant, by name.

    Returns:
        dict[str, dict]: ``optim_wrapper``, ``custom_hooks`` and ``compile``
        as in a config; the first is the plain one.
    """
    amp = dict(type='AmpOptimWrapper' if on_gpu else _Autocast)
    half = {**amp, **(dict(dtype='bfloat16') if on_gpu else {})}
    last = [dict(type='ChannelsLastHook')]
    fused = dict(optimizer=dict(fused=True))
    # Compiling C++ for a CPU takes minutes; the backend shows that it runs.
    compiled = True if on_gpu else dict(backend='eager')
    found = {PLAIN: {}}
    if on_gpu:
        found['AMP float16'] = dict(optim_wrapper={**amp, 'dtype': 'float16'})
    found |= {
        'AMP bfloat16': dict(optim_wrapper=half),
        'channels-last-3d': dict(custom_hooks=last),
        'fused AdamW': dict(optim_wrapper=fused),
        'bfloat16 + channels-last + fused': dict(
            optim_wrapper={**half, **fused}, custom_hooks=last
        ),
        'bfloat16 + channels-last + fused + compile': dict(
            optim_wrapper={**half, **fused},
            custom_hooks=last,
            compile=compiled,
        ),
    }
    if on_gpu:  # on the CPU the last one shows that it runs
        found['torch.compile'] = dict(compile=True)
    return found


class RandomBags(Dataset):
    """As many random videos as are asked for, all the same few."""

    metainfo = dict(classes=BaseDFERDataset.CLASSES)

    def __init__(self, length: int, size: int) -> None:
        self.length = length
        data = random_bags(16, size)
        self.items = [
            dict(inputs=bag, data_samples=sample)
            for bag, sample in zip(*data.values(), strict=True)
        ]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        return self.items[index % len(self.items)]


class _Clock(Hook):
    """Takes the seconds from the end of one iteration to that of the next."""

    def __init__(self, device: str) -> None:
        self.device, self.times = device, []

    def before_train(self, runner: Runner) -> None:
        for module in runner.model.modules():
            if hasattr(module, 'set_class_counts'):
                module.set_class_counts(DFEW_COUNTS)
        if self.device.startswith('cuda'):
            torch.cuda.reset_peak_memory_stats(self.device)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        wait_for(self.device)
        self.times.append(time.perf_counter())


class Run(NamedTuple):
    """What one variant took."""

    #: Median of an iteration, the first ones left out.
    seconds: float
    #: Peak bytes on a GPU; None elsewhere.
    memory: Optional[int]


def run_variant(
    cfg: Config,
    change: dict,
    batch: int,
    device: str,
    iterations: int = 30,
    size: int = 112,
) -> Run:
    """Train for some iterations with MMEngine's Runner.

    Args:
        cfg (Config): Of the model and its optimizer.
        change (dict): A value of :func:`variants`.
        batch (int): Videos.
        device (str): Where the Runner puts the model.
        iterations (int): A third of them warm up. Defaults to 30.
        size (int): Side of a frame. Defaults to 112.
    """
    init_default_scope('mmaction')
    wrapper = Config(dict(optim_wrapper=cfg.optim_wrapper.to_dict()))
    change = dict(change)
    wrapper.merge_from_dict(
        dict(optim_wrapper=change.pop('optim_wrapper', {}))
    )
    clock = _Clock(device)
    options = dict(compile=change.pop('compile', False))
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(
            model=cfg.model.to_dict(),
            work_dir=folder,
            train_dataloader=dict(
                batch_size=batch,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=RandomBags(batch * iterations, size),
            ),
            train_cfg=dict(by_epoch=False, max_iters=iterations),
            optim_wrapper=wrapper.optim_wrapper.to_dict(),
            default_hooks=dict(logger=None, checkpoint=None),
            custom_hooks=[*change.get('custom_hooks', []), clock],
            default_scope='mmaction',
            experiment_name=Path(folder).name,
            log_level='WARNING',
            cfg=options,
        )
        runner.train()
    memory = None
    if device.startswith('cuda'):
        memory = torch.cuda.max_memory_allocated(device)
    times = clock.times[max(0, iterations // 3 - 1) :]
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    del runner
    torch.compiler.reset()
    gc.collect()
    return Run(statistics.median(gaps), memory)


def measure_variants(
    options: Options, width: int = WIDTH, size: int = 112
) -> list[Figure]:
    """Compare every variant with the plain one, run before and behind."""
    cfg = load_config(OURS, width)
    batch = options.batch
    iterations = 4 if options.quick else 30
    known = variants(options.on_gpu)

    def run(change: dict) -> Run:
        return run_variant(
            cfg, change, batch, options.device, iterations, size
        )

    runs = {name: run(change) for name, change in known.items()}
    plain, again = runs.pop(PLAIN), run({})
    base = (plain.seconds + again.seconds) / 2
    drift = max(plain.seconds, again.seconds) / base - 1
    found = []
    for name, got in runs.items():
        case = dict(variant=name, batch=batch)
        found.append(
            Figure(
                case,
                'time',
                got.seconds / base,
                got.seconds,
                base,
                PLAIN,
                spread=(
                    got.seconds / base * (1 - drift),
                    got.seconds / base * (1 + drift),
                ),
                rounds=iterations,
            )
        )
        if got.memory is not None:
            ratio = got.memory / plain.memory
            found.append(
                Figure(
                    *(case, 'memory', ratio, got.memory, plain.memory),
                    PLAIN,
                    unit='bytes',
                )
            )
    return found
