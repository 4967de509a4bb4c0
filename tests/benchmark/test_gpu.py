"""All code of the GPU part, on the CPU, tiny."""

import os

import pytest
import torch
from mmengine.config import Config

from tools.dev.benchmark import (
    gpu,
    gpu_training,
    gpu_variants,
    training_step,
)
from tools.dev.benchmark.gpu_variants import (
    PLAIN,
    RandomBags,
    measure_variants,
    run_variant,
    variants,
)
from tools.dev.benchmark.memory import Peak
from tools.dev.benchmark.options import CONFIGS, Options
from tools.dev.benchmark.recipe import OURS, load_config

OPTIONS = Options(quick=True, batch_size=2, epochs=1, clips=40)


@pytest.fixture
def peaks(monkeypatch):
    """Memory without the process that measures it."""
    monkeypatch.setattr(
        training_step.memory,
        'peaks',
        lambda factory, cases, device: [Peak(2**21, 1.0) for _ in cases],
    )


def test_variants_are_what_a_config_says():
    on_gpu = variants(on_gpu=True)
    assert on_gpu['AMP float16']['optim_wrapper']['dtype'] == 'float16'
    wrapper = on_gpu['AMP bfloat16']['optim_wrapper']
    assert wrapper == dict(type='AmpOptimWrapper', dtype='bfloat16')
    assert on_gpu['torch.compile'] == dict(compile=True)
    assert set(on_gpu) - set(variants(on_gpu=False)) == {
        'AMP float16',
        'torch.compile',
    }


def test_every_variant_is_compared_with_the_plain_one(monkeypatch):
    # The plain one takes 2 s before and 3 s behind, the others 1, 2, 3, ...
    seconds = iter([2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 3.0])
    monkeypatch.setattr(
        gpu_variants,
        'run_variant',
        lambda *args: gpu_variants.Run(next(seconds), None),
    )
    found = measure_variants(OPTIONS)
    assert [f.case['variant'] for f in found] == list(variants(False))[1:]
    assert [f.ratio for f in found] == [0.4, 0.8, 1.2, 1.6, 2.0]
    # 2 and 3 are a fifth away from their mean.
    assert found[0].spread == pytest.approx((0.32, 0.48))
    assert {f.than for f in found} == {PLAIN}


def test_memory_of_variants_is_compared_too(monkeypatch):
    run = gpu_variants.Run(1.0, 50)
    monkeypatch.setattr(gpu_variants, 'run_variant', lambda *args: run)
    found = measure_variants(OPTIONS)
    assert [f.quantity for f in found[:2]] == ['time', 'memory']
    assert found[1].ratio == 1 and found[1].unit == 'bytes'


@pytest.mark.slow
def test_a_compiled_variant_trains():
    change = list(variants(False).values())[-1]
    assert change['compile'] and change['custom_hooks']
    cfg = load_config(OURS, 4)
    # Tracing takes its time, and one stage has all kinds of parts.
    cfg.model.backbone.update(
        num_stages=1,
        out_indices=(0,),
        spatial_strides=(1,),
        temporal_strides=(1,),
        dilations=(1,),
    )
    for neck in cfg.model.neck.necks:
        neck.in_channels = 4
    found = run_variant(cfg, change, 1, 'cpu', 3, 16)
    assert found.seconds > 0


def test_a_variant_is_really_used(monkeypatch):
    seen = {}
    step = torch.optim.AdamW.step

    def look(optimizer, *args, **kwargs):
        seen['fused'] = optimizer.defaults['fused']
        weights = [p for g in optimizer.param_groups for p in g['params']]
        kernel = next(p for p in weights if p.dim() == 5)
        seen['last'] = kernel.is_contiguous(
            memory_format=torch.channels_last_3d
        )
        return step(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, 'step', look)
    cfg, known = load_config(OURS, 4), variants(False)
    for name, fused, last in (
        (PLAIN, None, False),
        ('bfloat16 + channels-last + fused', True, True),
    ):
        run = run_variant(cfg, known[name], 1, 'cpu', 3, 16)
        assert run.seconds > 0 and run.memory is None
        assert seen == dict(fused=fused, last=last)


def test_random_bags_are_as_many_as_asked_for():
    bags = RandomBags(20, 8)
    assert len(bags) == 20 and bags[19]['inputs'].dtype == torch.uint8
    assert bags[3]['inputs'].equal(bags[19]['inputs'])


def test_throughput_is_bags_over_seconds(peaks):
    found = gpu.throughput(2, 'cpu', width=4, size=16)
    times = {f.case['what']: f for f in found if f.quantity == 'time'}
    for f in found:
        if f.quantity == 'bags':
            seconds = times[f.case['what']].ours
            assert f.ours == pytest.approx(2 / seconds)
    assert {f.quantity for f in found} == {'time', 'memory', 'bags'}


def test_a_batch_that_does_not_fit_is_a_note(monkeypatch):
    def full(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError('full')

    monkeypatch.setattr(gpu, 'measure_steps', full)
    (found,) = gpu.throughput(256, 'cpu')
    assert found.note == 'out of memory' and found.met is None


def test_the_training_config_is_the_recipe_cut_short(tmp_path, monkeypatch):
    monkeypatch.setenv('MICACL_DATA_ROOT', 'before')
    cfg = gpu_training.training_config(tmp_path, tmp_path, 10, on_gpu=True)
    assert os.environ['MICACL_DATA_ROOT'] == 'before'
    assert 'MICACL_VAL_RATIO' not in os.environ
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert [s.end for s in cfg.param_scheduler] == [1, 10]
    recipe = Config.fromfile(CONFIGS / OURS)
    assert cfg.model.to_dict() == recipe.model.to_dict()


@pytest.mark.slow
def test_a_training_on_the_drawn_set_comes_to_its_end(tmp_path):
    options = OPTIONS._replace(work_dir=tmp_path)
    found = {
        f.quantity: f for f in gpu_training.measure_training(options, 4, 32)
    }
    assert found['whole training'].case['epochs'] == 1
    assert 0 <= found['UAR at the end'].ours <= 1
    assert 0 < found['waiting for data'].ours < 1
    assert list((tmp_path / 'run').glob('best_acc_UAR_epoch_1.pth'))


def test_one_call_does_all(monkeypatch):
    monkeypatch.setattr(
        gpu, 'throughput', lambda batch, device, **kwargs: [f'batch {batch}']
    )
    monkeypatch.setattr(
        gpu, 'measure_training', lambda options, width, size: ['trained']
    )
    monkeypatch.setattr(
        gpu, 'measure_variants', lambda options, width, size: ['variants']
    )
    found = gpu.measure(OPTIONS)
    assert found[2:] == ['batch 2', 'variants', 'trained']
    waits = found[:2]
    assert [f.quantity for f in waits] == ['count', 'count']
    assert all(f.met for f in waits)
