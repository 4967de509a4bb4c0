"""Two ranks of batch B / 2 act as one process of batch B."""

import socket

import pytest
import torch
from torch import multiprocessing as mp

from . import rank_work as ranks_do

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What each rank found."""
    folder = tmp_path_factory.mktemp('ranks')
    # Imports once and forks often; forking pytest itself could hang.
    context = mp.get_context('forkserver')
    context.set_forkserver_preload([ranks_do.__name__])
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    numbers = range(ranks_do.WORLD)
    processes = [
        context.Process(target=ranks_do.work, args=(rank, port, str(folder)))
        for rank in numbers
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        if process.exitcode is None:
            process.kill()
    assert {process.exitcode for process in processes} == {0}
    files = [folder / f'{rank}.pth' for rank in numbers]
    return [torch.load(file, weights_only=False) for file in files]


@pytest.fixture(scope='module')
def single():
    """What one process finds."""
    return ranks_do.everything()


@pytest.mark.parametrize('case', ranks_do.CASES, ids=str)
def test_losses_gradients_and_queues(ranks, single, case):
    for found in ranks:
        torch.testing.assert_close(found[case], single[case])


def test_it_would_not_hold_for_ranks_that_see_only_their_own_rows():
    def loss(parts):
        model = ranks_do.Model('log', 0)
        batches = zip(
            ranks_do.batches()[0].chunk(parts),
            ranks_do.LABELS.chunk(parts),
            strict=True,
        )
        return sum(model(*batch) for batch in batches).item() / parts

    assert abs(loss(2) - loss(1)) > 1e-3


def test_class_aware_batches_and_metrics(ranks, single):
    """The last clips are neither dropped nor doubled."""
    for found in ranks:
        for name in ('batches', ('recalls', 11), ('recalls', 12)):
            assert found[name] == single[name]
