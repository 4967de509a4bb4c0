import pytest
import torch

from micacl_mm.models.losses import MCCLLoss
from micacl_mm.models.losses.functional import FORMS
from micacl_mm.models.necks import GEIIM, WIAN, PassThroughNeck
from tools.dev.benchmark.options import Options
from tools.dev.benchmark.sync_check import (
    count_syncs,
    measure_syncs,
    syncs_of,
)
from tools.dev.benchmark.training_step import OURS, build_model, load_config

MCCL = dict(type='MCCLLoss', num_classes=7)


@pytest.mark.parametrize(
    'look',
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: float(x[0]),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: torch.equal(x, x),
        lambda x: torch.where(x > 0),
    ],
)
def test_a_look_at_a_value_is_seen(look):
    x = torch.rand(3)
    assert count_syncs(lambda: look(x))


def test_plain_arithmetic_is_no_look():
    x = torch.rand(3, requires_grad=True)
    assert count_syncs(lambda: (x.softmax(0) * 2).sum().backward()) == {}


class Peeping(torch.autograd.Function):
    """Looks at a value in its backward only."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        grad.sum().item()
        return grad * 2


class PeepingLoss(torch.nn.Module):
    def forward(self, x, labels):
        return Peeping.apply(x).sum()


def test_a_look_in_the_backward_is_seen():
    assert syncs_of(PeepingLoss(), 4)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(temperature_mode='per_class', class_weight='effective'),
        dict(include_self=True, scales=(1,)),
        dict(in_channels=16, projection_channels=8, prototypes=True),
    ],
)
def test_mccl_never_looks_after_its_first_call(form, options):
    loss = MCCLLoss(num_classes=7, form=form, **options)
    assert syncs_of(loss, 16) == {}


@pytest.mark.parametrize('videos', [1, 14, 600])
def test_mccl_never_looks_at_any_batch_size(videos):
    assert syncs_of(MCCLLoss(num_classes=7), 8, videos) == {}


@pytest.mark.parametrize(
    'neck',
    [
        lambda: GEIIM(16),
        lambda: GEIIM(16, weight_source='adjacency', zero_init=False),
        lambda: GEIIM(16, aux_loss=MCCL),
        lambda: WIAN(16, 16),
        lambda: WIAN(16, 16, residual='none', norm='layer'),
        lambda: WIAN(16, 16, num_instances=1, aux_loss=MCCL),
        lambda: PassThroughNeck(4, aux_loss=MCCL),
    ],
)
def test_necks_never_look(neck):
    assert syncs_of(neck(), 16) == {}


def test_the_recipes_neck_and_loss_meet_the_bar():
    model = build_model(load_config(OURS, width=4))
    found = measure_syncs(model, Options())
    assert [f.case['part'] for f in found] == ['NeckChain', 'MCCLLoss']
    assert all(f.met for f in found)
