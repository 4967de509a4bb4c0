"""The pool of processes: all results, whoever dies."""

import os
import signal

import pytest

from micacl_mm.errors import MICACLError
from micacl_mm.utils.workers import run_all


def work(item):
    if item < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * item


def sigint(_):
    return signal.getsignal(signal.SIGINT)


@pytest.mark.parametrize('workers', [1, 2])
def test_all_results_come(workers):
    assert sorted(run_all(range(20), work, workers)) == [*range(0, 200, 10)]


@pytest.mark.parametrize('workers', [1, 2])
def test_an_item_that_kills_its_process_fails_alone(workers):
    items = [1, -2, 3, -4, 5, 6]
    found = sorted(run_all(items, work, workers, died=lambda item: item))
    assert found == [-4, -2, 10, 30, 50, 60]
    with pytest.raises(MICACLError, match='fewer workers'):
        list(run_all(items, work, 2))


def test_workers_leave_ctrl_c_to_the_first_process():
    assert list(run_all([0], sigint, 2)) == [signal.SIG_IGN]
    assert signal.getsignal(signal.SIGINT) != signal.SIG_IGN


def test_progress_ends_with_all_that_was_done(capsys):
    assert len(list(run_all(range(3), sigint, 1, progress=True))) == 3
    said = capsys.readouterr().err
    assert 'clips' in said and '100%' in said
    assert list(run_all(range(3), sigint, 1)) and not capsys.readouterr().err
