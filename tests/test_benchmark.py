"""The benchmark for makers runs, and its figures are ratios."""

import json
from functools import partial

import pytest

from tools.dev import benchmark


def test_a_report(tmp_path):
    out = tmp_path / 'figures.json'
    assert benchmark.main(['data', '--quick', '--out', str(out)]) == 0
    report = json.loads(out.read_text())
    assert list(report['parts']) == ['data']
    for figures in report['parts'].values():
        for figure in figures:
            assert figure['ratio'] > 0
            assert figure['ours_s'] > 0 and figure['other_s'] > 0


def test_a_ratio():
    now = 0.0

    def wait(seconds):
        nonlocal now
        now += seconds

    works = [partial(wait, 1.0), partial(wait, 4.0)]
    times = benchmark.time_in_turn(works, 3, clock=lambda: now)
    assert benchmark.figure('quarter', *times, 'other')['ratio'] == 0.25


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(['speed'])
    assert "no part 'speed'" in capsys.readouterr().err
