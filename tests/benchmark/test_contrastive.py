import pytest
import torch

from tools.dev.benchmark import contrastive
from tools.dev.benchmark.contrastive import (
    DFEW_COUNTS,
    SCALES,
    labels_like_dfew,
    make_batch,
    make_mccl,
    make_supcon,
)
from tools.dev.benchmark.memory import Peak
from tools.dev.benchmark.options import Options


@pytest.mark.parametrize('batch', [1, 2, 13, 14, 64, 1024])
def test_labels_have_dfews_proportions(batch):
    counts = labels_like_dfew(batch).bincount(minlength=7)
    assert counts.sum() == batch
    expected = torch.tensor(DFEW_COUNTS) * batch / sum(DFEW_COUNTS)
    assert (counts - expected).abs().max() <= 2.5
    if batch >= 14:
        assert counts.min() >= 2  # every anchor has a positive


def test_dfew_counts_are_those_of_the_data_set():
    from micacl_mm.datasets import DFEWDataset

    official = DFEWDataset.OFFICIAL_COUNTS[1]['train']
    assert list(DFEW_COUNTS) == list(official)


@pytest.mark.parametrize('scales', SCALES)
def test_both_losses_do_the_same_work(scales):
    """Value and gradient agree, or the comparison would mean nothing."""
    values, gradients = [], []
    for loss in (make_mccl('out', scales), make_supcon(scales)):
        features, labels = make_batch(64, 32)
        value = loss(features, labels)
        value.backward()
        values.append(value.item())
        gradients.append(features.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_the_recipes_form_is_the_recipes_loss():
    loss = make_mccl('log', (1, 2, 4))
    assert loss.temperature_mode == 'global'
    assert loss.class_weight == 'inverse_sqrt'


def test_figures_name_every_form_scale_and_size(monkeypatch):
    def peaks(factory, cases, device, calls=1):
        # Ours a third of the other's.
        sizes = dict(out=10, log=10, supcon=30)
        return [Peak(sizes[c['which']] * 2**20, 1.0) for c in cases]

    monkeypatch.setattr(contrastive.memory, 'peaks', peaks)
    monkeypatch.setattr(contrastive, 'CHANNELS', 16)
    found = contrastive.measure(Options(quick=True))
    names = {(f.name, f.quantity) for f in found}
    assert len(names) == len(found) == 2 * 2 * 2 * 2
    times = [f for f in found if f.quantity == 'time']
    assert all(f.bar == 0.5 and f.ratio > 0 for f in times)
    memory = [f for f in found if f.quantity == 'memory']
    assert all(f.ratio == pytest.approx(1 / 3) for f in memory)
    assert all(f.met is None for f in memory)  # no bar at these sizes


def test_large_batches_have_a_bar_on_memory(monkeypatch):
    def peaks(factory, cases, device, calls=1):
        return [Peak(2**20, 1.0) for _ in cases]

    monkeypatch.setattr(contrastive.memory, 'peaks', peaks)
    assert {f.met for f in contrastive._memory([1024], 'cpu')} == {False}
    assert {f.met for f in contrastive._memory([64], 'cpu')} == {None}


def test_growth_has_ratios_and_exponents():
    sizes, times, peaks = [10, 20, 40], [1.0, 4.0, 16.0], [5, 10, 20]
    found = {
        f.name: f for f in contrastive.growth_figures(sizes, times, peaks)
    }
    assert found['B=10: time'].ratio is None
    assert found['B=40: time'].ratio == 4 and found['B=40: time'].other == 4
    exponents = found['B=10 to 40: exponent of time'].ratio
    assert exponents == pytest.approx(2)
    memory = found['B=10 to 40: exponent of memory']
    assert memory.ratio == pytest.approx(1) and memory.met


def test_without_the_other_library_one_is_told(monkeypatch):
    monkeypatch.setitem(
        __import__('sys').modules, 'pytorch_metric_learning.losses', None
    )
    with pytest.raises(ImportError, match='pip install'):
        make_supcon((1,))
