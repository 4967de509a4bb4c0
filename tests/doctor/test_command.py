"""The command, and the small parts that it is made of."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from micacl_mm.doctor.checks import load, training
from micacl_mm.doctor.command import main
from micacl_mm.doctor.finding import blamed
from micacl_mm.doctor.registry import CHECKS
from micacl_mm.doctor.requirements import unmet

from .bench import PACKAGES
from .planting import package

ROOT = Path(__file__).parents[2]
load(whole=True)


class TestUsage:
    @pytest.mark.parametrize(
        'words',
        [
            ['--nonsense'],
            ['nowhere.py'],
            ['--data-root'],
            ['--workers', '0'],
            ['--decode', 'some'],
        ],
    )
    def test_wrong_usage(self, words, capsys):
        assert main(words) == 2
        assert 'error' in capsys.readouterr().err

    def test_help(self, capsys):
        assert main(['--help']) == 0
        assert '--val-ratio' in capsys.readouterr().out

    def test_json_that_cannot_be_written(self, tmp_path, capsys):
        (tmp_path / 'file').write_text('')
        path = str(tmp_path / 'file' / 'doctor.json')
        assert main(['--json', path]) == 2
        assert 'cannot be written' in capsys.readouterr().err

    def test_ctrl_c(self, monkeypatch, capsys):
        def look(case):
            raise KeyboardInterrupt

        stopped = CHECKS['gpu']._replace(look=look)
        monkeypatch.setitem(CHECKS, 'gpu', stopped)
        assert main([]) == 130
        assert 'goes on from here' in capsys.readouterr().err


class TestCommand:
    """The tool itself, in processes of its own."""

    def run(self, *words, **environment):
        return subprocess.run(
            [sys.executable, str(ROOT / 'tools/doctor.py'), *words],
            capture_output=True,
            text=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT), **environment},
        )

    def test_it_runs(self, tmp_path):
        out = tmp_path / 'doctor.json'
        done = self.run('--json', str(out))
        found = json.loads(out.read_text())
        assert done.returncode == found['exit_code'], done.stderr
        assert 'Traceback' not in done.stdout + done.stderr
        names = [finding['name'] for finding in found['findings']]
        assert names == [n for n, check in CHECKS.items() if not check.needs]
        for finding in found['findings']:
            bad = finding['status'] in ('WARN', 'FAIL')
            assert bool(finding['cure']) is bad, finding

    def test_it_says_why_the_package_cannot_be_imported(self, tmp_path):
        (tmp_path / 'torch.py').write_text('raise OSError("no libcudart")')
        done = self.run(
            '--data-root', 'x', PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}'
        )
        assert done.returncode == 1
        assert 'FAIL import: micacl_mm cannot be imported' in done.stdout
        assert 'no libcudart' in done.stdout
        assert 'PASS versions' in done.stdout
        assert 'Traceback' not in done.stdout + done.stderr


class TestGradients:
    def look(self, loss_of):
        model = torch.nn.ModuleDict(
            {name: torch.nn.Linear(2, 1, bias=False) for name in 'ab'}
        )
        losses = dict(loss_x=loss_of(model), accuracy=torch.tensor(1.0))
        return [finding[:2] for finding in training._backward(model, losses)]

    def test_one_that_reaches_nothing(self):
        found = self.look(lambda m: m['a'](torch.ones(1, 2)))
        assert found == [('WARN', 'no gradient reaches b.weight')]

    def test_one_that_is_not_finite(self):
        found = self.look(
            lambda m: m['a'](torch.ones(1, 2)) + torch.inf * m['b'].weight
        )
        assert found == [('FAIL', 'the gradient of b.weight is not finite')]

    def test_the_accuracy_is_no_loss(self):
        found = self.look(lambda m: m['a'].weight + m['b'].weight)
        assert found == [('PASS', 'backward: finite in 2 tensors')]


@pytest.mark.parametrize(
    ('error', 'found', 'cure'),
    [
        (ValueError('A: bad, got 1; do mend it.'), 'A: bad, got 1', 'mend it'),
        (ImportError('old; run: pip install x'), 'old', 'pip install x'),
        (ValueError('one; two'), 'one; two', 'other'),
        (KeyError('x'), "KeyError: 'x'", 'other'),
        (ValueError(), 'ValueError', 'other'),
    ],
)
def test_errors_are_parted_into_what_is_wrong_and_the_cure(error, found, cure):
    finding = blamed(error, 'other')
    assert (finding.found, finding.cure) == (found, cure)


def test_requirements_are_read_as_pip_does():
    known = {
        'a': package('1.0', 'B_c>=2', 'gone; extra == "x"', 'not valid ??'),
        'b-c': package('2.0rc1'),
        'd': package('1', 'a<1', 'gone; python_version < "3"'),
        **PACKAGES,
    }
    assert list(unmet(known)) == [
        ('a 1.0 needs B_c>=2, installed is 2.0rc1', 'B_c>=2'),
        ('d 1 needs a<1, installed is 1.0', 'a<1'),
    ]
