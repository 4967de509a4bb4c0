"""Measure speed and memory against what one would use instead.

Every figure is the ratio of two things timed in turn on one machine, ours
over the other: less is better. docs/maintainers.md shows the results.

  python -m tools.dev.benchmark                   all CPU parts
  python -m tools.dev.benchmark loss data         some parts
  python -m tools.dev.benchmark gpu               throughput on a GPU
  python -m tools.dev.benchmark --quick           small sizes: does it run?
  python -m tools.dev.benchmark --out FILE.json   where the figures go
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from micacl_mm.datasets import DFEWDataset
from micacl_mm.models import MCCLLoss
from micacl_mm.records.machine import describe_machine, git_commit
from micacl_mm.registry import DATASETS, MODELS
from micacl_mm.synthetic import make_synthetic

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
#: Training clips of each class in fold 1 of DFEW.
DFEW_COUNTS = (1956, 1515, 2135, 1738, 1175, 116, 721)
#: Our fast transforms and the stock ones that they stand for.
STOCK = {
    'ClipColorJitter': 'ColorJitter',
    'FaceFrameDecode': 'RawFrameDecode',
    'FastVideoInit': 'DecordInit',
}
Figure = dict[str, Any]


def time_in_turn(
    functions: Sequence[Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Time functions A, B, A, B, ... after a warm-up; seconds of each call."""
    times: list[list[float]] = [[] for _ in functions]
    for number in range(-1, rounds):
        for function, found in zip(functions, times, strict=True):
            _wait_for_gpu()
            start = clock()
            function()
            _wait_for_gpu()
            if number >= 0:
                found.append(clock() - start)
    return times


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def figure(
    case: str, ours: Sequence[float], other: Sequence[float], than: str
) -> Figure:
    """Median of the round-by-round ratios and of both times."""
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    return dict(
        case=case,
        ours_s=statistics.median(ours),
        other_s=statistics.median(other),
        than=than,
        ratio=statistics.median(ratios),
    )


def labels_like_dfew(batch: int) -> Tensor:
    """Labels (B,) in DFEW's proportions."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor(DFEW_COUNTS, dtype=torch.float)
    return shares.multinomial(batch, replacement=True, generator=generator)


# --- the training step ------------------------------------------------------


class Stepper:
    """A recognizer of our configs, its optimizer and random bags.

    The method ``name`` of the leaderboard, at its size for DFEW, on ``batch``
    videos of 4 x 4 frames of 112 px, of 32 px where ``quick``.
    """

    def __init__(
        self,
        name: str,
        batch: int,
        quick: bool,
        device: str = 'cpu',
        dtype: Optional[torch.dtype] = None,
        compiled: bool = False,
    ) -> None:
        init_default_scope('mmaction')
        os.environ['MICACL_SET'] = 'dfew'
        config = Config.fromfile(CONFIGS / f'leaderboard/{name}.py')
        torch.manual_seed(0)
        self.model = MODELS.build(config.model).to(device)
        for module in self.model.modules():
            if hasattr(module, 'set_class_counts'):
                module.set_class_counts(DFEW_COUNTS)
        self.optimizer = build_optim_wrapper(self.model, config.optim_wrapper)
        self.call = torch.compile(self.model) if compiled else self.model
        self.device, self.dtype = torch.device(device), dtype
        size = 32 if quick else 112
        shape = (4, 3, 4, size, size)
        bags = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8)
        samples = [
            ActionDataSample().set_gt_label(int(label))
            for label in labels_like_dfew(batch)
        ]
        self.data = dict(inputs=[*bags], data_samples=samples)

    def train(self) -> None:
        """One iteration: preprocessing, forward, backward, optimizer."""
        self.model.train()
        data = self.model.data_preprocessor(dict(self.data), True)
        with self._autocast():
            losses = self.call(**data, mode='loss')
        loss, _ = self.model.parse_losses(losses)
        self.optimizer.update_params(loss)

    @torch.no_grad()
    def infer(self) -> None:
        """Predict one batch."""
        self.model.eval()
        data = self.model.data_preprocessor(dict(self.data), False)
        with self._autocast():
            self.call(**data, mode='predict')

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, self.dtype, enabled=self.dtype is not None
        )


def measure_step(quick: bool) -> Iterable[Figure]:
    """R3D-18 with MICACL (plus and reference) against the mean of instances.

    Random bags, MMEngine's own train step with AdamW.
    """
    batch, rounds = (2, 1) if quick else (8, 5)
    names = ('micacl_plus', 'micacl_reference', 'r3d18_mil')
    steppers = [Stepper(name, batch, quick) for name in names]
    for what in ('train', 'infer'):
        functions = [getattr(stepper, what) for stepper in steppers]
        *ours, other = time_in_turn(functions, rounds)
        for name, times in zip(names, ours, strict=False):
            case = f'{what}, {name}, batch {batch}'
            yield figure(case, times, other, names[-1])


# --- the loss ---------------------------------------------------------------


def _loss_step(loss: nn.Module, features: Tensor, labels: Tensor) -> None:
    features.grad = None
    loss(features, labels).backward()


class _GroupedSupCon(nn.Module):
    """SupConLoss of pytorch-metric-learning on the groups of each scale."""

    def __init__(self, scales: Sequence[int]) -> None:
        super().__init__()
        from pytorch_metric_learning.losses import SupConLoss

        self.scales, self.loss = scales, SupConLoss(temperature=0.07)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return sum(
            self.loss(group, labels) / scale
            for scale in self.scales
            for group in features.chunk(scale, dim=1)
        ) / len(self.scales)


def measure_loss(quick: bool) -> Iterable[Figure]:
    """MCCLLoss against SupConLoss, 1024 channels, forward and backward."""
    sizes = (64,) if quick else (64, 128, 256, 1024)
    for batch, scales in product(sizes, ((1,), (1, 2, 4))):
        features = torch.randn(batch, 1024, requires_grad=True)
        labels = labels_like_dfew(batch)
        steps = [
            partial(_loss_step, loss, features, labels)
            for loss in (
                MCCLLoss(class_counts=DFEW_COUNTS, scales=scales),
                _GroupedSupCon(scales),
            )
        ]
        rounds = 1 if quick else 11
        case = f'B = {batch}, scales {scales}'
        yield figure(case, *time_in_turn(steps, rounds), 'SupConLoss')


# --- the data path ----------------------------------------------------------


def _pipeline(source: str, stock: bool) -> list[dict]:
    """The training pipeline of the recipe on DFEW, or its stock form."""
    path = CONFIGS / '_base_/datasets/dfew.py'
    steps = [dict(step) for step in Config.fromfile(path).train_pipeline]
    at = [step['type'] for step in steps].index('SampleInstances')
    head = [dict(type='FastVideoInit')] if source == 'videos' else []
    decode = 'DecordDecode' if source == 'videos' else 'FaceFrameDecode'
    steps = [*head, steps[at], dict(type=decode), *steps[at + 2 :]]
    if stock:
        for step in steps:
            step['type'] = STOCK.get(step['type'], step['type'])
    return steps


def _stock_frames(data_root: Path, folder: Path) -> Path:
    """Link the training frames for a RawframeDataset; its annotation."""
    dataset, lines = DFEWDataset(str(data_root), pipeline=[]), []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        clip = folder / 'frames' / f'clip_{index:05}'
        clip.mkdir(parents=True)
        for number, name in enumerate(info['frames'], 1):
            link = clip / f'img_{number:05}.jpg'
            link.symlink_to(Path(info['frame_dir'], name))
        lines.append(f'{clip} {info["total_frames"]} {info["label"]}')
    annotation = folder / 'frames.txt'
    annotation.write_text('\n'.join(lines))
    return annotation


def _read_clips(dataset: object, clips: int) -> None:
    random.seed(0)
    np.random.seed(0)
    for index in range(clips):
        dataset[index]


def measure_data(quick: bool) -> Iterable[Figure]:
    """CPU seconds of a worker for 16 clips, ours against stock.

    Drawn faces of 224 px, decoded, augmented and packed; files are cached.
    """
    init_default_scope('mmaction')
    cv2.setNumThreads(0)  # as in a worker
    clips, rounds, size = (4, 1, 64) if quick else (16, 7, 224)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, 'data')
        make_synthetic(root, num_clips=40, size=size, folds=(1,), videos=True)
        videos = DFEWDataset(str(root), pipeline=[], source='videos')
        names = [videos.get_data_info(i)['filename'] for i in range(clips)]
        listed = Path(folder, 'videos.txt')
        listed.write_text(''.join(f'{name} 0\n' for name in names))
        frames = DFEWDataset(str(root), pipeline=_pipeline('frames', False))
        cases = {
            'frames': (
                frames,
                'RawframeDataset',
                _stock_frames(root, Path(folder)),
            ),
            'videos': (
                _stock('VideoDataset', listed, _pipeline('videos', False)),
                'VideoDataset',
                listed,
            ),
        }
        for source, (ours, kind, annotation) in cases.items():
            other = _stock(kind, annotation, _pipeline(source, True))
            runs = [partial(_read_clips, d, clips) for d in (ours, other)]
            times = time_in_turn(runs, rounds, time.process_time)
            yield figure(f'{clips} clips, {source}', *times, f'stock {kind}')


def _stock(kind: str, annotation: Path, pipeline: list[dict]) -> object:
    return DATASETS.build(
        dict(type=kind, ann_file=str(annotation), pipeline=deepcopy(pipeline))
    )


# --- start-up ---------------------------------------------------------------

_CURES = f"""
import runpy
runpy.run_path({str(ROOT / 'micacl_mm/compat.py')!r})['apply']()
"""


def _run(code: str) -> None:
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


def measure_startup(quick: bool) -> Iterable[Figure]:
    """``import micacl_mm`` against ``import mmaction.models``."""
    stock = f'{_CURES}\nimport mmaction.models'
    codes = ('import micacl_mm', stock)
    runs = [partial(_run, code) for code in codes]
    times = time_in_turn(runs, 1 if quick else 5)
    yield figure(codes[0], *times, 'mmaction.models')


# --- GPU --------------------------------------------------------------------


def measure_gpu(quick: bool) -> Iterable[Figure]:
    """Throughput and peak memory of training by batch size and precision.

    Without a GPU a tiny step on the CPU shows that the code runs.
    """
    on_gpu = torch.cuda.is_available()
    device = 'cuda' if on_gpu else 'cpu'
    batches = (32, 128) if on_gpu else (2,)
    variants = product(batches, (None, torch.bfloat16), (False, True))
    for batch, dtype, compiled in variants:
        if compiled and not on_gpu:
            continue
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        step = Stepper('micacl_plus', batch, quick, device, dtype, compiled)
        (times,) = time_in_turn([step.train], 2 if quick else 20)
        seconds = statistics.median(times)
        peak = torch.cuda.max_memory_allocated() if on_gpu else None
        yield dict(
            case=f'batch {batch}, {dtype}, compiled {compiled}',
            ours_s=seconds,
            bags_per_second=batch / seconds,
            peak_bytes=peak,
        )


PARTS = dict(
    step=measure_step,
    loss=measure_loss,
    data=measure_data,
    startup=measure_startup,
    gpu=measure_gpu,
)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    on_cpu = [name for name in PARTS if name != 'gpu']
    parser.add_argument('parts', nargs='*', help=', '.join(PARTS))
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--out', type=Path, default='work_dirs/benchmark.json')
    arguments = parser.parse_args(argv)
    parts = arguments.parts or on_cpu
    if unknown := set(parts) - set(PARTS):
        parser.error(f'no part {unknown.pop()!r}, only {", ".join(PARTS)}')
    report = dict(
        machine=describe_machine(),
        commit=git_commit() or None,
        quick=arguments.quick,
        parts={},
    )
    for part in parts:
        figures = report['parts'][part] = []
        print(f'\n{part}: {PARTS[part].__doc__.splitlines()[0]}')
        for found in PARTS[part](arguments.quick):
            figures.append(found)
            ratio = found.get('ratio')
            shown = f'{ratio:.3f}' if ratio else ''
            print(f'  {found["case"]}: {1e3 * found["ours_s"]:.3g} ms {shown}')
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
