import pytest
import torch

from micacl_mm.models.necks import GEIIM
from tools.dev.benchmark import necks
from tools.dev.benchmark.necks import make_neck, outputs, plain_outputs
from tools.dev.benchmark.options import Options


@pytest.mark.parametrize('kind', ['GEIIM', 'WIAN'])
@pytest.mark.parametrize('size', [1, 2, 5])
@pytest.mark.parametrize('videos', [1, 3])
def test_loops_give_the_same_values_and_gradients(kind, size, videos):
    neck = make_neck(kind, size, 16).double()
    x = torch.randn(videos, size, 16, dtype=torch.double)
    results = []
    for function in (outputs, plain_outputs):
        neck.zero_grad()
        found = function(neck, x)
        sum((part**2).sum() for part in found).backward()
        gradients = {n: p.grad for n, p in neck.named_parameters()}
        results.append((*found, gradients))
    torch.testing.assert_close(*results)


def test_loops_follow_every_hop():
    neck = GEIIM(8, 3, depth=3, kernel_sizes=(2, 3), zero_init=False).double()
    x = torch.randn(2, 3, 8, dtype=torch.double)
    torch.testing.assert_close(outputs(neck, x), plain_outputs(neck, x))


@pytest.mark.parametrize('kind', ['GEIIM', 'WIAN'])
def test_every_parameter_of_a_timed_neck_matters(kind):
    neck = make_neck(kind, 4, 16)
    found = outputs(neck, torch.randn(2, 4, 16))
    sum((part**2).sum() for part in found).backward()
    assert all(p.grad.abs().sum() > 0 for p in neck.parameters())


def test_unequal_outputs_are_not_timed(monkeypatch):
    neck, x = make_neck('WIAN', 2, 16), torch.randn(1, 2, 16)
    necks.check_equal(neck, x)
    monkeypatch.setattr(necks, 'outputs', lambda n, x: (torch.zeros(1, 32),))
    with pytest.raises(AssertionError):
        necks.check_equal(neck, x)


def test_growth_is_written_down(monkeypatch):
    monkeypatch.setattr(necks, 'CHANNELS', 16)
    monkeypatch.setattr(necks, 'INSTANCES', (1, 2, 5))
    monkeypatch.setattr(necks, 'LOOPS', 2)
    found = {f.name: f for f in necks.measure(Options())}
    assert len(found) == 8
    assert found['neck=WIAN, M=2: time'].ratio > 0
    alone = found['neck=WIAN, M=5: time']  # too many for the loops
    assert alone.ratio is None and alone.ours > 0
    exponent = found['neck=GEIIM, M=1 to 5: exponent of time']
    assert exponent.unit == 'exponent' and 'M=2' in exponent.note
