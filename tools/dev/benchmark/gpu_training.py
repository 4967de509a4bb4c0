"""A real training to its end, on a set that is drawn for it."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from micacl_mm.records.machine import count_cores
from micacl_mm.synthetic import make_synthetic

from .figure import Figure
from .options import CONFIGS, Options
from .recipe import OURS, WIDTH, narrow


@contextmanager
def _told(**variables: str) -> Iterator[None]:
    """Set environment variables that configs read, for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def training_config(
    data_root: Path, work_dir: Path, epochs: int, on_gpu: bool
) -> Config:
    """The real recipe, cut to some epochs; on a GPU with AMP in bfloat16."""
    with _told(MICACL_DATA_ROOT=str(data_root), MICACL_VAL_RATIO='0.1'):
        cfg = Config.fromfile(CONFIGS / OURS)
    cfg.work_dir = str(work_dir)
    cfg.train_cfg.max_epochs = epochs
    warm, cosine = cfg.param_scheduler
    warm.end = cosine.begin = max(1, epochs // 10)
    cosine.end = max(epochs, cosine.begin + 1)
    workers = max(1, count_cores() // 2)
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.num_workers = min(loader.num_workers, workers)
    if on_gpu:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.dtype = 'bfloat16'
    return cfg


def train_to_the_end(cfg: Config) -> dict[str, Any]:
    """Train by MMEngine's Runner, with validation after each epoch.

    Returns:
        dict[str, Any]: ``seconds`` of all, ``bags`` that were trained on,
        ``epochs``, ``uar`` of the last, ``waiting``: the share of an
        iteration that waits for data, ``iteration``: its median seconds.
    """
    start = time.perf_counter()
    runner = Runner.from_cfg(cfg)
    runner.train()
    seconds = time.perf_counter() - start
    loader = runner.train_dataloader
    logged = _read_scalars(Path(runner.log_dir))
    data = _column(logged, 'data_time')
    iteration = _column(logged, 'time')
    uar = _column(logged, 'acc/UAR')
    batches = len(loader) * runner.max_epochs
    return dict(
        seconds=seconds,
        epochs=runner.epoch,
        bags=batches * loader.batch_size,
        iteration=statistics.median(iteration) if iteration else None,
        waiting=sum(data) / sum(iteration) if iteration else None,
        uar=uar[-1] if uar else None,
    )


def _read_scalars(folder: Path) -> list[dict]:
    (path,) = folder.glob('vis_data/scalars.json')
    lines = path.read_text().splitlines()
    return [json.loads(line) for line in lines]


def _column(lines: Sequence[dict], name: str) -> list[float]:
    # Lines of validation have a time of their own.
    training = name in ('time', 'data_time')
    return [
        line[name]
        for line in lines
        if name in line and (not training or 'loss' in line)
    ]


def measure_training(
    options: Options, width: int = WIDTH, size: int = 112
) -> list[Figure]:
    """Draw a set, train the real recipe on it to the end, and tell of it.

    Args:
        options (Options): With ``epochs``, ``clips`` and ``work_dir``.
        width (int): Base channels of the backbone. Defaults to 64.
        size (int): Side of the drawn faces. Defaults to 112.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.work_dir or temporary).absolute()
        data_root = folder / 'data'
        make_synthetic(
            data_root,
            num_clips=options.clips,
            size=size,
            folds=(1,),
            workers=count_cores(),
        )
        cfg = training_config(
            data_root, folder / 'run', options.epochs, options.on_gpu
        )
        cfg.train_dataloader.batch_size = options.batch
        found = train_to_the_end(narrow(cfg, width))
    case = dict(
        what='training on the drawn set',
        clips=options.clips,
        epochs=found['epochs'],
    )
    values = (
        ('whole training', found['seconds'], 's'),
        ('iteration', found['iteration'], 's'),
        ('bags', found['bags'] / found['seconds'], 'a second, all in all'),
        ('waiting for data', found['waiting'], 'of an iteration'),
        ('UAR at the end', found['uar'], 'on the validation slice'),
    )
    return [
        Figure(case, name, ours=value, unit=unit)
        for name, value, unit in values
        if value is not None
    ]
