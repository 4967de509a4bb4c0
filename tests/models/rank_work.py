"""What the processes of test_distributed do, and what one process does.

Each function gives back what must not depend on the number of processes.
"""

import gc
import os
from pathlib import Path

# Here, so that a fork server has it before it forks.
import matplotlib.pyplot  # noqa: F401
import torch
import torch._dynamo
from mmaction.structures import ActionDataSample
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.dist import get_dist_info
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from micacl_mm.cli.launch import prepare_cpu_ranks
from micacl_mm.datasets.samplers import ClassAwareBatchSampler
from micacl_mm.evaluation import RecallMetric
from micacl_mm.models.losses import MCCLLoss
from micacl_mm.registry import DATASETS, MODELS

OPTIONS = dict(
    class_counts=[9, 3, 1],
    in_channels=8,
    projection_channels=8,
    prototypes=True,
    loss_weight=1.0,
)
LABELS = torch.tensor([0, 0, 1, 2, 0, 1, 2, 2])
BLENDED = torch.eye(3)[LABELS] * 0.7 + torch.eye(3)[LABELS.flip(0)] * 0.3
CASES = [
    ('log', 'classes', 0),
    ('log', 'blended', 12),
    ('ratio', 'blended', 0),
    ('out', 'classes', 12),
]
WORLD = 2
#: Needs the labels and the class scores of all ranks.
REFERENCE = dict(temperature_mode='batch', focal='attached')


class Model(nn.Module):
    """An encoder and the loss on top."""

    def __init__(self, form, queue):
        super().__init__()
        torch.manual_seed(1)
        self.encoder, self.head = nn.Linear(5, 8), nn.Linear(8, 3)
        more = REFERENCE if form == 'out' else {}
        self.loss = MCCLLoss(form=form, queue_size=queue, **OPTIONS, **more)
        self.head.requires_grad_(self.loss.uses_scores)

    def forward(self, x, labels):
        features = self.encoder(x)
        return self.loss(features, labels, self.head(features))


def batches():
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(8, 5, generator=generator) for _ in range(3)]


def contrast(form, kind, queue):
    """Losses, gradients and buffers of three batches."""
    rank, world = get_dist_info()
    labels = LABELS if kind == 'classes' else BLENDED
    model = Model(form, queue)
    ranks = model
    if world > 1:
        ranks = DistributedDataParallel(model, broadcast_buffers=False)
    found = []
    for batch in batches():
        model.zero_grad()
        loss = ranks(batch.chunk(world)[rank], labels.chunk(world)[rank])
        loss.backward()
        loss = loss.detach().clone()
        if world > 1:
            dist.all_reduce(loss)
        found.append(loss / world)
        found += [
            p.grad.clone() for p in model.parameters() if p.requires_grad
        ]
        found += [buffer.clone() for buffer in model.buffers()]
    return found


class RankVideos(BaseDataset):
    """Noise on top of a class, few of the last one."""

    def __init__(self, size, seed):
        self.size, self.seed = size, seed
        super().__init__(pipeline=[], serialize_data=False)

    def load_data_list(self):
        generator = torch.Generator().manual_seed(self.seed)
        return [
            dict(
                label=i % 5 % 3,
                inputs=torch.randn(2, 3, 2, 4, 4, generator=generator)
                + i % 5 % 3,
            )
            for i in range(self.size)
        ]

    def prepare_data(self, index):
        info = self.get_data_info(index)
        sample = ActionDataSample().set_gt_label(info['label'])
        sample.set_metainfo(dict(index=index))
        return dict(inputs=info['inputs'], data_samples=sample)


class RankMean(nn.Module):
    """A backbone."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 8)

    def forward(self, x):
        return self.layer(x.mean((-3, -2, -1)))[..., None, None, None]


def joint_batches():
    """The class-aware batches of all ranks, put together."""
    rank, world = get_dist_info()
    base = DefaultSampler(RankVideos(50, 0), seed=1)
    base.set_epoch(2)
    own = list(ClassAwareBatchSampler(base, 8 // world))
    if world == 1:
        return [sorted(batch) for batch in own]
    shares = [None] * world
    dist.all_gather_object(shares, own)
    return [sorted(sum(parts, [])) for parts in zip(*shares, strict=True)]


def recalls(size):
    """UAR, WAR and recalls of predictions that depend on the clip alone."""
    videos = RankVideos(size, 0)
    metric = RecallMetric(classes=['a', 'b', 'c'])
    for index in DefaultSampler(videos, shuffle=False):
        label = videos.get_data_info(index)['label']
        score = torch.eye(3)[(label + (index % 3 == 0)) % 3]
        sample = dict(gt_label=torch.tensor([label]), pred_score=score)
        metric.process(None, [sample | dict(pred_label=score.argmax()[None])])
    return metric.evaluate(size)


def config_of(folder):
    """Arguments of a runner, as a config gives them."""
    world = get_dist_info()[1]
    loader = dict(num_workers=0, collate_fn=dict(type='pseudo_collate'))
    config = dict(
        default_scope='mmaction',
        work_dir=str(folder),
        launcher='none' if world == 1 else 'pytorch',
        log_level='ERROR',
        model=dict(
            type='Recognizer3D',
            backbone=dict(type='RankMean'),
            neck=dict(
                type='WIAN',
                in_channels=8,
                out_channels=16,
                num_heads=2,
                num_instances=2,
                aux_loss=dict(
                    type='MCCLLoss',
                    num_classes=3,
                    in_channels=16,
                    focal='attached',
                    prototypes=True,
                    queue_size=16,
                ),
            ),
            cls_head=dict(
                type='I3DHead',
                num_classes=3,
                in_channels=16,
                dropout_ratio=0,
                average_clips='prob',
            ),
            data_preprocessor=dict(
                type='ActionDataPreprocessor', format_shape='NCTHW'
            ),
        ),
        train_dataloader=dict(
            batch_size=8 // world,
            drop_last=False,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='ClassAwareBatchSampler'),
            dataset=dict(type='RankVideos', size=24, seed=0),
            **loader,
        ),
        val_dataloader=dict(
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(type='RankVideos', size=11, seed=1),
            **loader,
        ),
        val_evaluator=dict(type='RecallMetric'),
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.4, momentum=0.9)),
        auto_scale_lr=dict(enable=True, base_batch_size=16),
        default_hooks=dict(
            checkpoint=None, sync_buffers=dict(type='SyncBuffersHook')
        ),
        custom_hooks=[
            dict(type='ClassCountsHook'),
            dict(type='GradientCachingHook', micro_batch_size=1),
        ],
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        randomness=dict(seed=0),
    )
    if world > 1:
        wrapper = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        )
        config['cfg'] = dict(model_wrapper_cfg=wrapper)
    return config


def train(folder):
    """Two epochs by config: weights, buffers, metrics, learning rate."""
    init_default_scope('mmaction')
    # Not from_cfg, which spends seconds on printing the config.
    runner = Runner(**config_of(folder))
    runner.train()
    scalars = runner.message_hub.log_scalars
    metrics = {
        name: history.current()
        for name, history in scalars.items()
        if name.startswith('val/acc/')
    }
    weights = runner.model.state_dict()
    weights = {
        name.removeprefix('module.'): value.clone()
        for name, value in weights.items()
    }
    rate = runner.optim_wrapper.param_groups[0]['lr']
    return dict(metrics=metrics, weights=weights, rate=rate)


def everything(folder):
    """All of it; the training last, as it sets seeds."""
    DATASETS.register_module(module=RankVideos, force=True)
    MODELS.register_module(module=RankMean, force=True)
    found = {case: contrast(*case) for case in CASES}
    found['batches'] = joint_batches()
    found |= {('recalls', size): recalls(size) for size in (11, 12)}
    found['training'] = train(folder)
    for registry, part in ((DATASETS, RankVideos), (MODELS, RankMean)):
        registry._module_dict.pop(part.__name__)
    return found


def work(rank, port, folder):
    """One rank, started as torchrun would have done it."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(WORLD),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    gc.freeze()  # looking through what all ranks share would copy it
    torch.set_num_threads(1)
    torch.cuda.is_available = lambda: False
    prepare_cpu_ranks(['x.py', '--launcher', 'pytorch'])
    found = everything(Path(folder, str(rank)))
    torch.save(found, Path(folder, f'{rank}.pth'))
    dist.barrier()
    dist.destroy_process_group()
