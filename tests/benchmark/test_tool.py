"""``tools/dev/benchmark``."""

import json
from pathlib import Path
from runpy import run_path

import pytest
import torch

from tools.dev.benchmark import contrastive, necks
from tools.dev.benchmark.figure import Figure
from tools.dev.benchmark.parts import ON_CPU, ON_GPU, PARTS

ROOT = Path(__file__).parents[2]
main = run_path(str(ROOT / 'tools/dev/benchmark'))['main']


@pytest.fixture
def ratio(monkeypatch, tmp_path):
    """Parts that measure what they are told."""
    monkeypatch.chdir(tmp_path)
    told = dict(value=0.5)

    def measure(options):
        return [Figure(dict(B=1), 'time', told['value'], 1.0, 2.0, 'it')]

    monkeypatch.setattr(necks, 'measure', measure)
    monkeypatch.setattr(contrastive, 'measure_growth', measure)
    return told


def call(*arguments):
    return main(list(map(str, arguments)))


def test_one_run_prints_a_table_and_writes_json(ratio, tmp_path, capsys):
    out = tmp_path / 'found.json'
    assert call('--parts', 'necks', 'growth', '--out', out) == 0
    printed = capsys.readouterr().out
    assert PARTS['necks'].title in printed and 'B=1: time' in printed
    report = json.loads(out.read_text())
    assert list(report['parts']) == ['necks', 'growth']
    assert report['machine']['cores'] >= 1 and report['versions']['torch']
    assert {'date', 'commit', 'command'} <= report.keys()
    assert str(tmp_path) not in out.read_text()  # no paths of the machine
    assert call('--from', out, '--markdown') == 0
    assert '| B=1: time |' in capsys.readouterr().out


def test_a_ratio_that_got_worse_is_exit_code_1(ratio, tmp_path, capsys):
    old, new = tmp_path / 'old.json', tmp_path / 'new.json'
    call('--parts', 'necks', '--out', old)
    assert call('--from', old, '--compare', old) == 0
    ratio['value'] = 0.6
    assert call('--parts', 'necks', '--out', new, '--compare', old) == 1
    assert 'necks: B=1: time: 0.5 -> 0.6, 1.20' in capsys.readouterr().out
    assert call('--from', new, '--compare', old, '--tolerance', 0.3) == 0


def test_other_machines_are_compared_only_when_asked(ratio, tmp_path, capsys):
    old, new = tmp_path / 'old.json', tmp_path / 'new.json'
    call('--parts', 'necks', '--out', old)
    report = json.loads(old.read_text())
    report['machine']['kind'] = 'abacus'
    new.write_text(json.dumps(report))
    capsys.readouterr()
    assert call('--from', new, '--compare', old) == 2
    assert 'abacus' in capsys.readouterr().out
    again = ('--from', new, '--compare', old, '--other-machine')
    assert call(*again) == 0
    assert 'abacus' in capsys.readouterr().out


def test_the_page_is_filled_from_json(ratio, tmp_path):
    out, page = tmp_path / 'found.json', tmp_path / 'page.md'
    call('--parts', 'necks', '--out', out)
    page.write_text((ROOT / 'docs/speed.md').read_text())
    assert call('--docs', out, '--page', page) == 0
    assert '| B=1: time |' in page.read_text()
    page.write_text('<!-- benchmark:necks:begin -->')
    assert call('--docs', out, '--page', page) == 2


def test_wrong_input_is_exit_code_2(tmp_path, capsys):
    assert call('--from', tmp_path / 'absent.json') == 2
    broken = tmp_path / 'broken.json'
    broken.write_text('{')
    assert call('--compare', broken) == 2
    assert 'make it anew' in capsys.readouterr().err
    for wrong in (['--parts', 'x'], ['--epochs', 0], ['--batch-size', -1]):
        with pytest.raises(SystemExit) as stopped:
            call(*wrong)
        assert stopped.value.code == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_gpu_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        call('gpu')
    assert 'no GPU' in capsys.readouterr().err


def test_every_part_has_a_place():
    assert set(ON_CPU) | set(ON_GPU) == set(PARTS)


def test_the_page_has_a_block_for_every_part():
    text = (ROOT / 'docs/speed.md').read_text()
    for name in ('machine', *PARTS):
        assert text.count(f'<!-- benchmark:{name}:begin -->') == 1
        assert text.count(f'<!-- benchmark:{name}:end -->') == 1
