"""Kill a training again and again, and check that nothing is lost.

A tiny training on noise is killed (SIGKILL) at random moments, half of them
while a checkpoint is written, and the same command continues with --resume.
A training that ends must have the weights, optimizer, best checkpoint and
metrics of an undisturbed one, to the bit. It uses everything with a memory:
EMA, dropout, augmentation in workers, class-balanced sampling, class counts,
MCCL's warm-up and queue, a schedule by iterations. Every second training
starts in a folder with a later checkpoint of another one.

Usage: python -m tests.reliability.torture [--kills 20] [--seed 0] [--stock]

--stock uses MMEngine's checkpoint hook and seeds no data. Needs fork.
Exit code: 0 if nothing was lost, else 1.
"""

import argparse
import gc
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import cv2
import mmengine
import numpy as np
import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook

from micacl_mm.cli.launch import run_tool
from micacl_mm.hooks.checkpoint_files import NOTE, is_whole
from micacl_mm.registry import HOOKS

BASE = Path(__file__).resolve().parents[2] / 'configs' / 'micacl_folder.py'
EPOCHS = 5
STALE = 'epoch_9.pth'  # of another, longer training
PIECES, PAUSE = 8, 0.008  # of a slow disk
CONFIG = """
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
test_pipeline = [
    dict(
        type='SampleInstances', num_frames=8, instance_len=2, test_mode=True
    ),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(16, 16), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
train_pipeline = [
    dict(type='SampleInstances', num_frames=8, instance_len=2),
    dict(type='RawFrameDecode'),
    dict(type='RandomResizedCrop', area_range=(0.5, 1.0)),
    dict(type='Resize', scale=(16, 16), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='ColorJitter'),
    *test_pipeline[-2:],
]
train_dataloader = dict(
    batch_size=6,
    num_workers=2,
    sampler=dict(_delete_=True, type='ClassBalancedSampler', power=0.5),
    dataset=dict(pipeline=train_pipeline, val_ratio=0.4),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline, val_ratio=0.4),
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
    dict(type='EMAHook', momentum=0.5),
    dict(type='HistoryHook', priority='LOWEST'),
    {data_hook}
]
default_hooks = dict(checkpoint=dict(type={checkpoint_hook!r}))
randomness = dict(seed=0, deterministic=True)
"""


class HistoryHook(Hook):
    """Writes all losses and metrics of a finished training."""

    def after_train(self, runner):
        history = {
            name: [float(value) for value in buffer.data[0]]
            for name, buffer in runner.message_hub.log_scalars.items()
            if name.startswith(('train/l', 'train/grad', 'val/acc'))
        }
        Path(runner.work_dir, 'history.json').write_text(json.dumps(history))


def draw_set(folder):
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


def start(config, work_dir, marker, resume):
    """Train in a forked process; the marker exists during writes."""
    gc.freeze()  # imported modules need no garbage collection
    child = os.fork()
    if child:
        return child

    def write(path, data):
        marker.touch()
        size = len(data) // PIECES + 1
        with open(path, 'wb') as file:
            for place in range(0, len(data), size):
                file.write(data[place : place + size])
                file.flush()
                time.sleep(PAUSE)
        marker.unlink()

    try:
        os.setsid()
        with open(config.with_suffix('.log'), 'a') as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        HOOKS.register_module(module=HistoryHook, force=True)
        # Formatting the config takes half of so short a training.
        mmengine.config.config.FormatCode = lambda text, **_: (text, True)
        Path.write_bytes = write
        LocalBackend.put = lambda self, obj, path: write(Path(path), obj)
        arguments = [str(config), '--work-dir', str(work_dir)]
        run_tool('train', [*arguments, *(['--resume'] if resume else [])])
        os._exit(0)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)


def wait(child, until=lambda: False):
    """The exit code of a process; None if something else comes first."""
    while not until():
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def kill(child, marker, draw, seconds):
    """Kill at a random moment: exit code if it ended before, and whether a
    checkpoint was being written."""
    pause = draw.uniform(0, seconds)
    if draw.random() < 0.5:  # within the first, second or third file
        for _ in range(draw.randint(1, 3)):
            for until in (lambda: not marker.exists(), marker.exists):
                code = wait(child, until)
                if code is not None:
                    return code, False
        pause = draw.uniform(0, 0.7 * PIECES * PAUSE)
    deadline = time.monotonic() + pause
    code = wait(child, lambda: time.monotonic() > deadline)
    if code is not None:
        return code, False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    writing = marker.exists()
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # its workers, as at a power cut
    marker.unlink(missing_ok=True)
    return None, writing


def leave_stale(folder, whole):
    """Leave a later checkpoint of another training in a folder."""
    folder.mkdir()
    child = os.fork()  # torch may start threads, which do not survive a fork
    if child == 0:
        file = torch.load(whole, 'cpu', weights_only=True)
        for value in file['state_dict'].values():
            value += 1
        torch.save(file, folder / STALE)
        os.utime(folder / STALE, (0, 0))
        os._exit(0)
    os.waitpid(child, 0)
    (folder / NOTE).write_text(str(folder / STALE))


def differences(found, expected):
    """Parts in which the results of two trainings differ, to the bit."""
    names = [{p.name for p in f.glob('*.pth')} for f in (found, expected)]
    if names[0] != names[1]:
        return ['other checkpoints']
    different = []
    for name in names[0]:
        one, other = (
            torch.load(folder / name, 'cpu', weights_only=True)
            for folder in (found, expected)
        )
        # The message hub holds times; its numbers are in the history.
        parts = (one.keys() | other.keys()) - {'meta', 'message_hub'}
        different += [
            f'other {part}'
            for part in sorted(parts)
            if not equal(one.get(part), other.get(part))
        ]
    history = [f / 'history.json' for f in (found, expected)]
    if history[0].read_bytes() != history[1].read_bytes():
        different.append('other losses or metrics')
    return different


def equal(one, other):
    """Whether nested states are equal to the bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and bytes_of(one) == bytes_of(other)
    if isinstance(one, float):
        return struct.pack('d', one) == struct.pack('d', other)
    if isinstance(one, dict):
        same = one.keys() == other.keys()
        return same and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def bytes_of(tensor):
    # Comparing by torch would start threads, which do not survive a fork.
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def torture(kills, seed, place, stock=False):
    """Kill and resume; counts, and what differed."""
    draw_set(place / 'data')
    os.environ['MICACL_DATA_ROOT'] = str(place / 'data')
    config, marker = place / 'config.py', place / 'writing'
    text = CONFIG.format(
        base=str(BASE),
        epochs=EPOCHS,
        data_hook='' if stock else "dict(type='SafeDataHook'),",
        checkpoint_hook='CheckpointHook' if stock else 'SafeCheckpointHook',
    )
    config.write_text(text)
    began = time.monotonic()
    if wait(start(config, place / 'whole', marker, False)):
        raise RuntimeError(config.with_suffix('.log').read_text()[-3000:])
    seconds = time.monotonic() - began
    draw, folder = random.Random(seed), place / 'killed'
    count, different = Counter(), []
    while count['kills'] < kills or count['open']:
        if not folder.exists() and count['trainings'] % 2 == 0:
            leave_stale(folder, place / 'whole' / f'epoch_{EPOCHS}.pth')
        own = {path.name for path in folder.glob('epoch_*.pth')} - {STALE}
        child = start(config, folder, marker, resume=bool(own))
        if count['kills'] < kills:
            code, writing = kill(child, marker, draw, seconds)
            if code is None:
                count.update(kills=1, open=1, writing=int(writing))
                if not stock and not all(map(is_whole, folder.glob('*.pth'))):
                    different.append('a partial checkpoint')
                continue
        else:
            code = wait(child)
        (folder / STALE).unlink(missing_ok=True)
        found = ['the resumed training fails'] if code else []
        found = found or differences(folder, place / 'whole')
        count.update(trainings=1, survived=0 if found else count['open'])
        different += found
        count['open'] = 0
        shutil.rmtree(folder)
    return count, sorted(set(different))


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--stock', action='store_true')
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix='kills-') as place:
        count, different = torture(
            options.kills, options.seed, Path(place), options.stock
        )
    print(
        f'kills survived: {count["survived"]} of {count["kills"]}, '
        f'{count["writing"]} of them while a checkpoint was written, '
        f'{count["trainings"]} trainings finished; '
        + ('; '.join(different) or 'weights bit-equal, metrics equal')
    )
    return int(bool(different))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.exit(main())
