"""How often a training iteration makes the host wait for the device.

Nothing is computed: tensors on the device 'meta' show reads, copies to and
from the device and mixed devices.
"""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from micacl_mm.models import LongTailCrossEntropyLoss, MCCLLoss, NeckChain

N, M, C, K = 3, 2, 8, 3
CPU = torch.device('cpu')
GEIIM = dict(type='GEIIM', in_channels=C)
WIAN = dict(
    type='WIAN',
    in_channels=C,
    out_channels=2 * C,
    num_heads=2,
    num_layers=1,
)
READINGS = {
    'plus': ([GEIIM, WIAN], {}),
    'reference': (
        [
            dict(GEIIM, nodes='channels', weight_source='channels'),
            dict(WIAN, recurrence='gated', qkv_only=True, residual='none'),
        ],
        dict(temperature_mode='batch', focal='attached', form='out'),
    ),
}


class Made(TorchFunctionMode):
    """Counts tensors that are made of numbers on the device."""

    count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor):
            self.count += torch.device(kwargs.get('device') or 'cpu') != CPU
        return func(*args, **kwargs)


class Waits(TorchDispatchMode):
    """Counts reads of values, and copies to and from the device."""

    def __init__(self):
        super().__init__()
        self.count, self.made = 0, Made()

    def __enter__(self):
        self.made.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.made.__exit__(*error)
        self.count += self.made.count

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [x for x in tree_leaves(args) if torch.is_tensor(x)]
        devices = {x.device for x in tensors}
        if name == '_local_scalar_dense' and devices != {CPU}:
            self.count += 1
            return 1
        if name == '_to_copy':
            target = torch.device(kwargs.get('device') or tensors[0].device)
            self.count += target not in devices
            if target == CPU:
                return torch.ones(tensors[0].shape)
        elif name == 'copy_':
            self.count += len(devices) - 1
        else:
            mixed = {x.device for x in tensors if x.dim()}
            assert len(mixed) < 2, f'{name} on {mixed}'
        return func(*args, **kwargs)


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch):
    """The device 'meta' knows none."""
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, 'is_autocast_enabled', lambda _: False)


class Training:
    """A neck, a head and their losses in training."""

    def __init__(self, reading):
        necks, options = READINGS[reading]
        mccl = MCCLLoss(
            class_counts=[9, 3, 1],
            in_channels=2 * C,
            prototypes=True,
            queue_size=4,
            **options,
        )
        neck = NeckChain(necks, M, aux_loss=mccl)
        cross_entropy = LongTailCrossEntropyLoss(
            class_counts=[9, 3, 1], logit_adjustment=1.0, gamma=2.0
        )
        parts = neck, nn.Linear(2 * C, K), cross_entropy
        self.model = nn.ModuleList(parts).to('meta')
        self.optimizer = torch.optim.AdamW(self.model.parameters())

    def iteration(self, labels):
        neck, head, cross_entropy = self.model
        x = torch.empty(N * M, C, 1, 2, 2, device='meta')
        feature, losses = neck(x, labels)
        logits = head(feature.flatten(1))
        loss = losses['loss_mccl']
        loss = loss(scores=logits) if callable(loss) else loss
        total = cross_entropy(logits, labels) + loss
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


@pytest.mark.parametrize('reading', READINGS)
def test_no_wait_after_the_first_iteration(reading):
    training = Training(reading)
    classes = torch.zeros(N, dtype=torch.long, device='meta')
    with Waits():  # the first batch is looked at
        training.iteration(classes)
    for labels in (classes, torch.empty(N, K, device='meta')):
        with Waits() as waits:
            training.iteration(labels)
        assert waits.count == 0


@pytest.mark.parametrize(
    'plant',
    [
        lambda x: x.sum().item(),
        lambda x: x.sum().cpu(),
        lambda x: torch.tensor(3.0, device=x.device),
        lambda x: x.add(torch.ones(1).to(x.device)),
        lambda x: x.clone()[0].copy_(torch.ones(C)),
    ],
)
def test_a_planted_wait_is_counted(plant):
    neck = NeckChain([GEIIM, WIAN], M).to('meta')
    process = neck.necks[1].process
    neck.necks[1].process = lambda bag: (
        plant(bag.features[0]),
        process(bag),
    )[1]
    with Waits() as waits:
        neck(torch.empty(N * M, C, device='meta'))
    assert waits.count == 1
