"""What the processes of test_distributed do, and what one process does.

Each function gives back what must not depend on the number of processes.
"""

import gc
import os
from pathlib import Path
from types import SimpleNamespace

# Here, so that a fork server has it before it forks.
import matplotlib.pyplot  # noqa: F401
import torch
import torch._dynamo
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.dist import get_dist_info
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from micacl_mm.cli.launch import prepare_cpu_ranks
from micacl_mm.datasets.samplers import ClassAwareBatchSampler
from micacl_mm.evaluation import RecallMetric
from micacl_mm.hooks import GradientCachingHook
from micacl_mm.models.losses import MCCLLoss

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
    """A backbone and the loss on top."""

    def __init__(self, form, queue):
        super().__init__()
        torch.manual_seed(1)
        self.backbone, self.head = nn.Linear(5, 8), nn.Linear(8, 3)
        more = REFERENCE if form == 'out' else {}
        self.loss = MCCLLoss(form=form, queue_size=queue, **OPTIONS, **more)
        self.head.requires_grad_(self.loss.uses_scores)

    def forward(self, x, labels):
        features = self.backbone(x)
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
        if form == 'ratio':
            runner = SimpleNamespace(model=ranks)
            GradientCachingHook(micro_batch_size=1).before_train(runner)
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
    """Labels alone, few of the last one."""

    def __init__(self, size):
        self.size = size
        super().__init__(pipeline=[], serialize_data=False)

    def load_data_list(self):
        return [dict(label=i % 5 % 3) for i in range(self.size)]


def joint_batches():
    """The class-aware batches of all ranks, put together."""
    rank, world = get_dist_info()
    base = DefaultSampler(RankVideos(50), seed=1)
    base.set_epoch(2)
    own = list(ClassAwareBatchSampler(base, 8 // world))
    if world == 1:
        return [sorted(batch) for batch in own]
    shares = [None] * world
    dist.all_gather_object(shares, own)
    return [sorted(sum(parts, [])) for parts in zip(*shares, strict=True)]


def recalls(size):
    """UAR, WAR and recalls of predictions that depend on the clip alone."""
    videos = RankVideos(size)
    metric = RecallMetric(classes=['a', 'b', 'c'])
    for index in DefaultSampler(videos, shuffle=False):
        label = videos.get_data_info(index)['label']
        score = torch.eye(3)[(label + (index % 3 == 0)) % 3]
        sample = dict(gt_label=torch.tensor([label]), pred_score=score)
        metric.process(None, [sample | dict(pred_label=score.argmax()[None])])
    return metric.evaluate(size)


def everything():
    found = {case: contrast(*case) for case in CASES}
    found['batches'] = joint_batches()
    return found | {('recalls', size): recalls(size) for size in (11, 12)}


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
    torch.save(everything(), Path(folder, f'{rank}.pth'))
    dist.barrier()
    dist.destroy_process_group()
