"""Two ranks of batch B act as one rank of batch 2B."""

import os
import socket

import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from micacl_mm.models.losses import MCCLLoss
from micacl_mm.models.losses.functional import FORMS

OPTIONS = dict(
    class_counts=[9, 3, 1],
    in_channels=8,
    projection_channels=8,
    prototypes=True,
    loss_weight=1.0,
)
LABELS = torch.tensor([0, 0, 1, 2, 0, 1, 2, 2])
BLENDED = torch.eye(3)[LABELS] * 0.7 + torch.eye(3)[LABELS.flip(0)] * 0.3
CASES = [(form, kind) for form in FORMS for kind in ('classes', 'blended')]


class Model(torch.nn.Module):
    """An encoder and the loss on top."""

    def __init__(self, form):
        super().__init__()
        torch.manual_seed(1)
        self.encoder = torch.nn.Linear(5, 8)
        self.loss = MCCLLoss(form=form, **OPTIONS)

    def forward(self, x, labels):
        return self.loss(self.encoder(x), labels)


def labels_of(kind):
    return LABELS if kind == 'classes' else BLENDED


def batch():
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(2))


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters()}


def work(rank, world, port, results):
    import micacl_mm  # noqa: F401

    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=world)
    rows = slice(rank * 8 // world, (rank + 1) * 8 // world)
    for form, kind in CASES:
        model = DistributedDataParallel(Model(form), broadcast_buffers=False)
        loss = model(batch()[rows], labels_of(kind)[rows])
        loss.backward()
        results[rank, form, kind] = (loss.item(), gradients(model.module))
    dist.destroy_process_group()


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture(scope='module', params=[2])
def ranks(request):
    world = request.param
    with mp.get_context('spawn').Manager() as manager:
        results = manager.dict()
        mp.spawn(work, (world, free_port(), results), nprocs=world)
        return world, dict(results)


@pytest.mark.slow
@pytest.mark.parametrize(('form', 'kind'), CASES)
def test_ranks_equal_one_large_batch(ranks, form, kind):
    world, results = ranks
    single = Model(form)
    labels = labels_of(kind)
    loss = single(batch(), labels)
    loss.backward()
    mean = sum(results[rank, form, kind][0] for rank in range(world)) / world
    assert mean == pytest.approx(loss.item(), rel=1e-5)
    for name, expected in gradients(single).items():
        for rank in range(world):
            found = results[rank, form, kind][1][name]
            torch.testing.assert_close(found, expected)
    # It would not hold for ranks that look only at their own rows.
    parts = zip(batch().chunk(world), labels.chunk(world), strict=True)
    alone = sum(single(x, y) for x, y in parts) / world
    assert abs((alone - loss).item()) > 1e-3
