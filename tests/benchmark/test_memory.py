from pathlib import Path

import pytest

from tools.dev.benchmark import memory

from .allocations import MIB

ROOT = Path(__file__).parents[2]
FACTORY = 'tests.benchmark.allocations:allocate'
CASES = [
    dict(),
    dict(taken=64),
    dict(taken=8),  # less than was taken and freed before it
    dict(held=96, taken=8),  # what is held before does not count
    dict(taken=8, freed=48),  # a peak in passing does
    dict(taken=0),
]


@pytest.fixture(scope='module')
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return memory.peaks(FACTORY, CASES)


@pytest.mark.skipif(not memory.can_reset(), reason='VmHWM cannot be reset')
def test_peaks_are_those_of_known_allocations(found):
    expected = [0, 64, 8, 8, 48, 0]
    for peak, size in zip(found, expected, strict=True):
        # The kernel counts pages in lots, and Python takes some too.
        assert abs(peak.bytes - size * MIB) < MIB


def test_each_case_is_timed(found):
    assert all(peak.seconds > 0 for peak in found)
    assert found[1].seconds > found[0].seconds  # it fills 64 MiB


def test_no_cases_start_no_process(monkeypatch):
    monkeypatch.setattr(memory.subprocess, 'run', None)
    assert memory.peaks(FACTORY, []) == []


def test_a_failed_process_says_why(monkeypatch):
    class Done:
        returncode, stdout, stderr = 1, '', 'ValueError: nothing there'

    monkeypatch.setattr(memory.subprocess, 'run', lambda *a, **k: Done)
    with pytest.raises(RuntimeError, match='nothing there'):
        memory.peaks(FACTORY, [{}])


def test_without_a_reset_the_rise_of_maxrss_counts(monkeypatch):
    marks = iter([100, 150])
    monkeypatch.setattr(memory, 'can_reset', lambda: False)
    monkeypatch.setattr(memory, '_maxrss', lambda: next(marks))
    assert memory.peak_of(lambda: None).bytes == 50
    assert 'ru_maxrss' in memory.method()


def test_without_a_reset_each_case_has_its_process(monkeypatch):
    started = []

    def start(factory, cases, calls):
        started.append(cases)
        return [memory.Peak(1, 1.0)]

    monkeypatch.setattr(memory, 'can_reset', lambda: False)
    monkeypatch.setattr(memory, '_start', start)
    assert len(memory.peaks(FACTORY, CASES[:3])) == 3
    assert started == [[case] for case in CASES[:3]]


def test_maxrss_is_in_bytes():
    # At least what is in use now, and no thousand times more.
    used = memory._status('VmRSS')
    assert used <= memory._maxrss() + MIB < 1000 * used
