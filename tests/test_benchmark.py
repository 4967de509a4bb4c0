"""The benchmark for makers runs, and its figures are ratios."""

import json

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


def test_a_function_against_itself_and_its_double():
    def run():
        sum(range(20_000))

    def twice():
        run()
        run()

    times = benchmark.time_in_turn([run, twice], rounds=15)
    figure = benchmark.figure('double', *times, 'twice')
    assert 0.25 < figure['ratio'] < 1


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(['speed'])
    assert "no part 'speed'" in capsys.readouterr().err
