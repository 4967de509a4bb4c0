"""Ranks of batch B / R act as one process of batch B."""

import socket

import pytest
import torch
from torch import multiprocessing as mp

from . import rank_work as ranks_do

LAUNCHERS = {2: 'slurm', 4: 'pytorch'}


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What each rank found, by the number of ranks."""
    folder = tmp_path_factory.mktemp('ranks')
    # Imports once and forks often; forking pytest itself could hang.
    context = mp.get_context('forkserver')
    context.set_forkserver_preload([ranks_do.__name__])
    found = {}
    for world, launcher in LAUNCHERS.items():
        port = free_port()
        processes = [
            context.Process(
                target=ranks_do.work,
                args=(rank, world, port, str(folder), launcher),
            )
            for rank in range(world)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(300)
            if process.exitcode is None:
                process.kill()
        assert [process.exitcode for process in processes] == [0] * world
        found[world] = [
            torch.load(folder / f'{world}-{rank}.pth', weights_only=False)
            for rank in range(world)
        ]
    return found


@pytest.fixture(scope='module')
def single(tmp_path_factory):
    """What one process finds."""
    return ranks_do.everything(tmp_path_factory.mktemp('single'))


@pytest.mark.slow
@pytest.mark.parametrize('case', ranks_do.CASES, ids=str)
@pytest.mark.parametrize('world', LAUNCHERS)
def test_losses_gradients_and_queues(ranks, single, world, case):
    for found in ranks[world]:
        torch.testing.assert_close(found[case], single[case])


@pytest.mark.slow
@pytest.mark.parametrize('queue', [0, 12])
def test_it_would_not_hold_for_ranks_that_see_only_their_own_rows(queue):
    def loss(parts):
        model = ranks_do.Model('log', queue)
        batches = zip(
            ranks_do.batches()[0].chunk(parts),
            ranks_do.LABELS.chunk(parts),
            strict=True,
        )
        return sum(model(*batch) for batch in batches).item() / parts

    assert abs(loss(2) - loss(1)) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize('world', LAUNCHERS)
def test_class_aware_batches(ranks, single, world):
    for found in ranks[world]:
        assert found['batches'] == single['batches']


@pytest.mark.slow
@pytest.mark.parametrize('size', [9, 11, 12])
@pytest.mark.parametrize('world', LAUNCHERS)
def test_metrics_neither_drop_nor_double_the_last_clips(
    ranks, single, world, size
):
    for found in ranks[world]:
        assert found['recalls', size] == single['recalls', size]


@pytest.mark.slow
@pytest.mark.parametrize('runner', ranks_do.RUNNERS_TRIED)
@pytest.mark.parametrize('world', LAUNCHERS)
def test_a_training_by_config(ranks, single, world, runner):
    expected = single[runner]
    assert expected['rate'] == pytest.approx(0.4 * 8 / 16)
    counts = expected['weights']['neck.aux_loss.class_counts']
    assert counts.tolist() == [16, 16, 8]
    for found in ranks[world]:
        assert found[runner]['rate'] == pytest.approx(expected['rate'])
        assert found[runner]['metrics'] == pytest.approx(expected['metrics'])
        _check_weights(found[runner]['weights'], expected['weights'])


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
