"""No checkpoint of a stranger runs code, whichever way it comes in.

Two attacks: a pickle that calls something, and a config's text that does,
for MMEngine keeps configs as Python in its checkpoints.
"""

import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch.utils.data import Dataset

from micacl_mm.apis.loading import load_model
from micacl_mm.records.training import Training
from micacl_mm.visualization.runs import Run

ROOT = Path(__file__).resolve().parents[2]


class Payload:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path):
        self.path = Path(path)

    def __reduce__(self):
        return Path.touch, (self.path,)


class Tiny(BaseModel):
    def __init__(self):
        super().__init__()
        self.weigh = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor', **kwargs):
        return {'loss': self.weigh(inputs).mean()}


class Numbers(Dataset):
    metainfo = {'classes': ('a', 'b')}

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {'inputs': torch.zeros(1)}


def runner_in(folder, **kwargs):
    loader = dict(batch_size=1, num_workers=0, dataset=Numbers())
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    return Runner(
        Tiny(),
        str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        experiment_name=f'{folder.parent.name}_{folder.name}',
        **kwargs,
    )


def resume(path):
    runner = runner_in(path.with_name('resumed'))
    runner.resume(str(path), resume_optimizer=False)
    return runner


def through_runner(path):
    """As tools/test.py does."""
    runner = runner_in(path.with_name('tested'), load_from=str(path))
    runner.load_or_resume()


def through_inferencer(path):
    load_model(Config(dict(model=dict(type=Tiny))), str(path))


def through_mmengine(path):
    load_checkpoint(Tiny(), str(path), 'cpu', strict=True)


def through_pretrained(path):
    weights = dict(type='Pretrained', checkpoint=str(path))
    model = Tiny()
    model.init_cfg = weights
    model.init_weights()


def through_url(path):
    """A download that is in the cache already, so nothing is fetched."""
    cache = path.parent / 'hub/checkpoints'
    cache.mkdir(parents=True)
    path.rename(cache / path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TORCH_HOME', str(path.parent))
        CheckpointLoader.load_checkpoint(
            f'https://example.invalid/{path.name}', 'cpu'
        )


WAYS = [
    resume,
    through_runner,
    through_inferencer,
    through_mmengine,
    through_pretrained,
    through_url,
]


@pytest.fixture
def touched(tmp_path):
    return tmp_path / 'touched'


def save(folder, **entries):
    path = folder / 'stranger.pth'
    whole = dict(
        state_dict=Tiny().state_dict(),
        meta=dict(epoch=1, iter=2),
        message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
        param_schedulers=[],
    )
    for name, entry in entries.items():
        if isinstance(entry, dict):
            whole[name].update(entry)
        else:
            whole[name] = entry
    torch.save(whole, path)
    return path


@pytest.mark.parametrize('way', WAYS)
def test_pickles_are_refused(tmp_path, touched, way):
    path = save(tmp_path, meta=dict(cfg=Payload(touched)))
    # kfold and the others say it in their own words.
    with pytest.raises((pickle.UnpicklingError, ValueError)) as error:
        way(path)
    assert 'eights' in str(error.value)
    assert not touched.exists()


def test_the_pickle_would_have_run(tmp_path, touched):
    path = save(tmp_path, meta=dict(cfg=Payload(touched)))
    torch.load(path, weights_only=False)
    assert touched.exists()


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('place', ['config', 'cfg', 'hub'])
def test_texts_of_configs_are_not_run(tmp_path, touched, way, place):
    text = f'__import__("pathlib").Path({str(touched)!r}).touch()'
    hub = dict(runtime_info=dict(cfg=text))
    entry = (
        dict(message_hub=hub) if place == 'hub' else {'meta': {place: text}}
    )
    path = save(tmp_path, **entry)
    way(path)
    assert not touched.exists()


def test_the_text_would_have_run(tmp_path, touched, monkeypatch):
    text = f'__import__("pathlib").Path({str(touched)!r}).touch()'
    path = save(tmp_path, meta=dict(config=text))
    cured = CheckpointLoader.load_checkpoint
    monkeypatch.setattr(
        CheckpointLoader,
        'load_checkpoint',
        classmethod(cured.__func__.__wrapped__),
    )
    runner = resume(path)
    assert touched.exists() and (runner.epoch, runner.iter) == (1, 2)


def test_the_record_reads_configs_without_running_them(touched):
    text = (
        f'a = __import__("pathlib").Path({str(touched)!r}).touch()\n'
        f'exec("open({str(touched)!r}, \'w\')")\nmodel = dict(type="GEIIM")'
    )
    facts = dict(method=text, config_hash='x')
    training = Training.from_meta(dict(cfg=text, micacl_mm=facts))
    assert training.method == text and training.config_hash == 'x'
    assert not touched.exists()


def test_plots_pass_over_checkpoints_that_would_run_code(tmp_path, touched):
    save(tmp_path, meta=dict(cfg=Payload(touched)))
    assert Run(tmp_path).class_counts(2) is None
    assert not touched.exists()
