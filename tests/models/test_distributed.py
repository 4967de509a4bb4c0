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
def single(tmp_path_factory):
    """What one process finds."""
    return ranks_do.everything(tmp_path_factory.mktemp('single'))


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


def test_a_training_by_config(ranks, single):
    expected = single['training']
    assert expected['rate'] == pytest.approx(0.4 * 8 / 16)
    counts = expected['weights']['neck.aux_loss.class_counts']
    assert counts.tolist() == [10, 9, 5]
    for rank in ranks:
        found = rank['training']
        assert found['rate'] == pytest.approx(expected['rate'])
        assert found['metrics'] == pytest.approx(expected['metrics'])
        _check_weights(found['weights'], expected['weights'])


def _check_weights(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        if '.queue.' not in name or name.endswith('position'):
            torch.testing.assert_close(
                found[name], value, rtol=1e-4, atol=1e-5, msg=name
            )
    # The ranks' rows come in another order, but are the same ones.
    queued = [
        torch.cat([state[f'neck.aux_loss.queue.{part}'] for part in parts], 1)
        for state in (found, expected)
        for parts in [('labels', 'features')]
    ]
    rows, others = (sorted(rows.tolist()) for rows in queued)
    torch.testing.assert_close(
        torch.tensor(rows), torch.tensor(others), rtol=1e-3, atol=1e-4
    )
