"""A tiny training on noise: frames in folders, a model of few weights."""

from itertools import count

import cv2
import numpy as np
import torch
from mmaction.datasets import RawframeDataset
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from micacl_mm.evaluation import RecallMetric
from micacl_mm.registry import DATASETS, METRICS, MODELS

CLASSES = ('a', 'b', 'c')
FRAMES, SIDE = 4, 16
_NUMBERS = count()
CHECKPOINT = dict(
    interval=1, max_keep_ckpts=1, save_best='acc/UAR', rule='greater'
)
OPEN = [
    dict(type='SampleFrames', clip_len=1, num_clips=2),
    dict(type='RawFrameDecode'),
]
CLOSE = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
TRAIN = [
    *OPEN,
    dict(type='RandomResizedCrop', area_range=(0.3, 1.0)),
    dict(type='Resize', scale=(8, 8), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    *CLOSE,
]
TEST = [
    dict(type='SampleFrames', clip_len=1, num_clips=2, test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(8, 8), keep_ratio=False),
    *CLOSE,
]


@MODELS.register_module(force=True)
class NoiseBackbone(nn.Module):
    """One convolution and dropout."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 1)
        self.drop = nn.Dropout(0.5)

    def init_weights(self):
        pass

    def forward(self, x):
        return self.drop(self.conv(x).relu())


@DATASETS.register_module(force=True)
class CountedClips(RawframeDataset):
    """The stock data set, for ClassBalancedDataset."""

    def get_cat_ids(self, idx):
        return [self.get_data_info(idx)['label']]


@METRICS.register_module(force=True)
class RisingMetric(RecallMetric):
    """Each epoch is better than the one before."""

    def compute_metrics(self, results):
        scalars = MessageHub.get_current_instance().log_scalars
        rise = len(scalars['train/loss'].data[0])
        return {**super().compute_metrics(results), 'rise': rise}


def draw(folder, clips=18, suffix='jpg'):
    """Draw clips whose class is in their colour; returns their folders."""
    random, folders = np.random.RandomState(0), []
    for clip in range(clips):
        path = folder / f'clip{clip:02}'
        path.mkdir(parents=True)
        for frame in range(FRAMES):
            image = random.randint(0, 120, (SIDE, SIDE, 3), np.uint8)
            image[..., clip % 3] += np.uint8(60)
            cv2.imwrite(str(path / f'{frame:03}.{suffix}'), image)
        folders.append(path)
    lines = (f'{path} {FRAMES} {i % 3}' for i, path in enumerate(folders))
    (folder / 'list.txt').write_text('\n'.join(lines))
    return folders


def settings(folder, pipeline=TRAIN, **kwargs):
    """Settings of a stock data set of these clips."""
    return dict(
        type='RawframeDataset',
        ann_file=str(folder / 'list.txt'),
        filename_tmpl='{:03}.jpg',
        start_index=0,
        pipeline=pipeline,
        metainfo=dict(classes=CLASSES),
        **kwargs,
    )


def build(folder, pipeline=TRAIN, **kwargs):
    init_default_scope('mmaction')
    return DATASETS.build(settings(folder, pipeline, **kwargs))


def loader(dataset, mode, workers=0, batch_size=4, **kwargs):
    return dict(
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=mode == 'train'),
        dataset=dataset,
        **kwargs,
    )


def make_runner(
    data,
    work_dir,
    *hooks,
    epochs=3,
    resume=False,
    load_from=None,
    workers=0,
    metric='RecallMetric',
    seed=0,
    **checkpoint,
):
    """A runner by our hooks; not from_cfg, which prints for seconds."""
    test = settings(data, TEST, test_mode=True)
    return Runner(
        default_scope='mmaction',
        work_dir=str(work_dir),
        log_level='WARNING',
        model=dict(
            type='Recognizer3D',
            backbone=dict(type='NoiseBackbone'),
            neck=dict(
                type='PassThroughNeck',
                num_instances=2,
                aux_loss=dict(type='MCCLLoss', num_classes=3, warmup_iters=9),
            ),
            cls_head=dict(
                type='I3DHead',
                num_classes=3,
                in_channels=8,
                average_clips='prob',
            ),
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                mean=[128.0] * 3,
                std=[64.0] * 3,
                format_shape='NCTHW',
            ),
        ),
        train_dataloader=loader(settings(data), 'train', workers),
        val_dataloader=loader(test, 'val'),
        test_dataloader=loader(test, 'test'),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_cfg=dict(),
        test_cfg=dict(),
        val_evaluator=dict(type=metric),
        test_evaluator=dict(type=metric),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
        ),
        param_scheduler=dict(
            type='CosineAnnealingLR',
            T_max=3,
            end=3,  # else MMEngine keeps that of the first training
            convert_to_iter_based=True,
        ),
        default_hooks=dict(
            checkpoint=dict(
                type='SafeCheckpointHook',
                **{**CHECKPOINT, **checkpoint},
            )
        ),
        custom_hooks=[dict(type='ClassCountsHook'), *hooks],
        randomness=dict(seed=seed, deterministic=True),
        resume=resume,
        load_from=load_from,
        cfg=Config(dict(resume=resume, load_from=load_from)),
        # Else runners of one second share what they remember.
        experiment_name=f'noise{next(_NUMBERS)}',
    )


def state(runner):
    """Weights, optimizer and the history of a runner."""
    history = {
        name: [float(value) for value in buffer.data[0]]
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith(('train/l', 'val/acc'))
    }
    weights = {k: v.clone() for k, v in runner.model.state_dict().items()}
    momentum = [
        value['momentum_buffer'].clone()
        for value in runner.optim_wrapper.optimizer.state.values()
    ]
    return weights, momentum, history


def assert_same(found, expected):
    assert found[0].keys() == expected[0].keys()
    for name, value in expected[0].items():
        assert torch.equal(found[0][name], value), name
    assert all(map(torch.equal, found[1], expected[1]))
    assert found[2] == expected[2]
