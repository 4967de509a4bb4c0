"""A training by iterations: seeded and watched as one by epochs."""

import pytest
import torch
from mmengine.runner import loops

from micacl_mm.hooks import SafeDataHook
from micacl_mm.hooks.bad_files import LIST

from . import noise


def batches(
    folder,
    work_dir,
    sampler,
    workers=0,
    persistent=False,
    count=7,
    **options,
):
    """The first batches of a loop, and the hook; two passes of 18 clips."""
    runner = noise.make_runner(folder, work_dir, workers=workers)
    loader = runner._train_dataloader
    loader['sampler'] = dict(type=sampler, shuffle=True, seed=3)
    loader['persistent_workers'] = persistent
    runner._train_loop = runner.build_train_loop(
        dict(type='IterBasedTrainLoop', max_iters=9)
    )
    loop, hook = runner.train_loop, SafeDataHook(**options)
    old = loop.dataloader_iterator._iterator
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert not any(w.is_alive() for w in getattr(old, '_workers', ()))
    found = [next(loop.dataloader_iterator) for _ in range(count)]
    hook.after_train_epoch(runner)
    hook.after_train(runner)
    new = loop.dataloader_iterator._iterator
    if workers:
        new._shutdown_workers()
    return found


def inputs(found):
    return [image for batch in found for image in batch['inputs']]


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch):
    monkeypatch.setattr(loops.time, 'sleep', lambda seconds: None)


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_numbers_by_iterations_do_not_depend_on_workers(
    clips, tmp_path, sampler
):
    torch.manual_seed(1)
    expected = batches(clips, tmp_path / '0', sampler)
    for persistent in (False, True):
        torch.manual_seed(2)
        found = batches(clips, tmp_path / '2', sampler, 2, persistent)
        assert [len(b['inputs']) for b in found] == [
            len(b['inputs']) for b in expected
        ]
        assert all(map(torch.equal, inputs(found), inputs(expected)))


def test_each_batch_by_iterations_has_numbers_of_its_own(tmp_path):
    noise.draw(tmp_path, 1)  # so that every clip is the same one
    found = batches(tmp_path, tmp_path / 'run', 'DefaultSampler')
    shown = {image.numpy().tobytes() for image in inputs(found)}
    assert len(inputs(found)) == 7 and len(shown) == 7


@pytest.mark.parametrize('workers', [0, 1])
def test_bad_files_by_iterations_are_left_out(spoilt, tmp_path, workers):
    folder, _ = spoilt
    found = batches(
        folder,
        tmp_path / 'run',
        'DefaultSampler',
        workers,
        count=5,
        bad_data='skip',
    )
    assert len(inputs(found)) == 15
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    words = 'train, iteration 0: 3 of 18 clips drawn could not be read'
    assert words in log
    assert len((tmp_path / 'run' / LIST).read_text().splitlines()) == 12
