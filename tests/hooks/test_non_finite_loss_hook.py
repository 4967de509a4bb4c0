from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.dataset import ConcatDataset
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import MessageHub

from micacl_mm.hooks.non_finite_loss_hook import (
    NonFiniteLossError,
    NonFiniteLossHook,
    clip_names,
)
from tests.reliability import noise
from tests.reliability.fetching import fetch


def sample(**meta):
    return ActionDataSample(metainfo=meta)


BATCH = dict(
    data_samples=[sample(video_id='00017'), sample(filename='b/2.mp4')]
)


def run(losses, batch=BATCH, log=False):
    hub = MessageHub('losses')
    runner = SimpleNamespace(epoch=2, iter=41, message_hub=hub)
    if log:
        RuntimeInfoHook().after_train_iter(runner, 0, batch, losses)
    NonFiniteLossHook().after_train_iter(runner, 0, batch, losses)


@pytest.mark.parametrize('value', [1.0, float('nan')])
def test_never_waits_for_the_device_itself(monkeypatch, value):
    """MMEngine's hook waits once for each loss, and logs it."""
    waits = []
    for name in ('tolist', 'item', '__float__', '__bool__'):
        action = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda x, action=action: (waits.append(1), action(x))[1],
        )
    losses = {f'loss_{i}': torch.tensor(value) for i in range(4)}
    stops = (
        pytest.raises(NonFiniteLossError) if value != value else nullcontext()
    )
    with stops:
        run(losses, log=True)
    assert len(waits) == 4


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
def test_names_clips_and_losses(value):
    run(dict(loss=torch.tensor(3.0), loss_cls=1e30, top1_acc=float(value)))
    run(None)
    wrong = torch.tensor(float(value))
    losses = dict(loss_cls=torch.tensor(1.5), loss_mccl=wrong, loss=wrong)
    with pytest.raises(NonFiniteLossError) as error:
        run(losses)
    for text in ('loss_mccl and loss in epoch 3, iteration 42', '00017, b/2'):
        assert text in str(error.value)


@pytest.mark.parametrize('wrapped', [False, True])
def test_stock_data_sets_have_names(tmp_path, wrapped):
    folders = noise.draw(tmp_path, 3)
    dataset = noise.build(tmp_path)
    if wrapped:
        dataset = ConcatDataset([dataset, dataset])
    ((batch,),), _ = fetch(dataset, [[2, 0]], tmp_path, epochs=1)
    names = [str(folders[2]), str(folders[0])]
    assert clip_names(batch) == names
    with pytest.raises(NonFiniteLossError, match=f'clips {", ".join(names)}'):
        run(dict(loss=float('nan')), batch)


def test_the_name_is_that_of_the_clip_that_takes_the_place(tmp_path):
    folders = noise.draw(tmp_path, 6)
    for path in folders[1].iterdir():
        path.write_bytes(b'')
    ((batch,),), _ = fetch(
        noise.build(tmp_path), [[1]], tmp_path, 'resample', epochs=1
    )
    assert clip_names(batch) == [str(folders[4])]


def test_batches_without_names():
    assert clip_names(None) == []
    assert clip_names(dict(data_samples=[sample()])) == ['?']
