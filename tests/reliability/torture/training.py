"""A tiny training in which everything that has a memory takes part."""

import gc
import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook

from micacl_mm.cli.launch import run_tool
from micacl_mm.hooks.atomic_backend import AtomicBackend
from micacl_mm.hooks.checkpoint_files import NOTE
from micacl_mm.registry import HOOKS
from micacl_mm.utils.files import write_text

EPOCHS = 5
STALE = 'epoch_9.pth'  # of another training, which had more epochs
PIECES, PAUSE = 8, 0.008  # of a slow disk
TEXT = """
_base_ = [{base!r}]
model = dict(
    backbone=dict(base_channels=4, conv1_stride_t=2, with_pool1=True),
    neck=dict(
        necks=[
            dict(type='GEIIM', in_channels=32),
            dict(type='WIAN', in_channels=32, out_channels=32),
        ],
        aux_loss=dict(in_channels=32, warmup_iters=12, queue_size=16),
    ),
    cls_head=dict(in_channels=32),
)
train_pipeline = [
    dict(type='SampleInstances', num_frames=8, instance_len=2),
    dict(type='RawFrameDecode'),
    dict(type='RandomResizedCrop', area_range=(0.5, 1.0)),
    dict(type='Resize', scale=(16, 16), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='ColorJitter'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(
        type='SampleInstances', num_frames=8, instance_len=2, test_mode=True
    ),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(16, 16), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
train_dataloader = dict(
    batch_size=6,
    num_workers=2,
    sampler=dict(_delete_=True, type='ClassBalancedSampler', power=0.5),
    dataset=dict(pipeline=train_pipeline, val_ratio=0.4),
)
calm = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(
    **calm, dataset=dict(pipeline=test_pipeline, val_ratio=0.4)
)
train_cfg = dict(max_epochs={epochs})
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end={epochs},
        convert_to_iter_based=True,
    ),
]
custom_hooks = [
    dict(type='ClassCountsHook'),
    {data_hook}
    dict(type='EMAHook', momentum=0.5),
    dict(type='HistoryHook', priority='LOWEST'),
]
default_hooks = dict(checkpoint=dict(type={checkpoint_hook!r}))
randomness = dict(seed=0, deterministic=True)
"""


class HistoryHook(Hook):
    """Writes down every loss and every metric of a finished training."""

    def after_train(self, runner: Any) -> None:
        """Write them."""
        told = runner.message_hub.log_scalars.items()
        history = {
            name: [float(value) for value in buffer.data[0]]
            for name, buffer in told
            if name.startswith(('train/l', 'train/grad', 'val/acc'))
        }
        Path(runner.work_dir, 'history.json').write_text(json.dumps(history))


def draw_set(folder: Path) -> None:
    """Draw classes of coloured noise, one of them rare."""
    draw = np.random.RandomState(0)
    for label, clips in enumerate((14, 12, 6)):
        for clip in range(clips):
            path = folder / f'class{label}' / f'clip{clip:02}'
            path.mkdir(parents=True)
            for frame in range(10):
                image = draw.randint(0, 90, (20, 20, 3), np.uint8)
                image[..., label] += np.uint8(40)
                cv2.imwrite(str(path / f'{frame:03}.jpg'), image)


def write_config(folder: Path, base: Path, stock: bool) -> Path:
    """Write the config of the training beside its set.

    Args:
        folder (Path): Of the set.
        base (Path): The config micacl_folder.py.
        stock (bool): Without our hooks.

    Returns:
        Path: the config.
    """
    path = folder / 'config.py'
    text = TEXT.format(
        base=str(base),
        epochs=EPOCHS,
        data_hook='' if stock else "dict(type='SafeDataHook'),",
        checkpoint_hook='CheckpointHook' if stock else 'SafeCheckpointHook',
    )
    path.write_text(text)
    return path


def slow_disk(marker: Path) -> None:
    """Write checkpoints piece by piece, with a marker while that lasts."""

    def write(path: Path, obj: bytes) -> None:
        marker.touch()
        size = len(obj) // PIECES + 1
        with open(path, 'wb') as file:
            for start in range(0, len(obj), size):
                file.write(obj[start : start + size])
                file.flush()
                time.sleep(PAUSE)
        marker.unlink()

    AtomicBackend._write = staticmethod(write)
    LocalBackend.put = lambda self, obj, path: write(Path(path), obj)


def leave_stale(folder: Path, whole: Path) -> None:
    """Leave a later checkpoint of an older, other training in a folder.

    Args:
        folder (Path): Where the next training will start.
        whole (Path): A checkpoint of the last epoch.
    """
    folder.mkdir()
    path = folder / STALE
    child = os.fork()  # torch may start threads, which no fork outlives
    if child == 0:
        file = torch.load(whole, 'cpu', weights_only=True)
        for value in file['state_dict'].values():
            value += 1
        file['meta']['time'] = '20000101_000000'
        torch.save(file, path)
        os.utime(path, (0, 0))
        os._exit(0)
    os.waitpid(child, 0)
    write_text(folder / NOTE, str(path))


def start(config: Path, work_dir: Path, marker: Path, resume: bool) -> int:
    """Start the training in a process of its own; it needs no imports.

    Args:
        config (Path): Its config.
        work_dir (Path): Its folder.
        marker (Path): Exists while a checkpoint is written.
        resume (bool): With ``--resume``.

    Returns:
        int: its number.
    """
    gc.freeze()  # what is imported need not be looked through again
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        with open(config.with_suffix('.log'), 'a') as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        HOOKS.register_module(module=HistoryHook, force=True)
        # Of the time of so short a training the layout of its config in
        # each checkpoint would be half.
        mmengine.config.config.FormatCode = lambda text, **_: (text, True)
        slow_disk(marker)
        arguments = [str(config), '--work-dir', str(work_dir)]
        run_tool('train', [*arguments, *(['--resume'] if resume else [])])
        os._exit(0)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
