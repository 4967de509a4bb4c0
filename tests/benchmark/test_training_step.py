import pytest
import torch
from mmengine.config import Config

from tools.dev.benchmark import training_step
from tools.dev.benchmark.figure import Figure
from tools.dev.benchmark.memory import Peak
from tools.dev.benchmark.options import CONFIGS
from tools.dev.benchmark.training_step import (
    OTHER,
    OURS,
    Stepper,
    at_recipe_batch,
    build_model,
    count_work,
    load_config,
    measure_memory,
    measure_steps,
    memory_case,
)

TINY = dict(width=4, size=16)


@pytest.mark.parametrize('name', [OURS, OTHER])
def test_the_full_width_is_the_config_itself(name):
    expected = Config.fromfile(CONFIGS / name).model
    assert load_config(name).model.to_dict() == expected.to_dict()
    assert load_config(name, 4).model.to_dict() != expected.to_dict()


def test_both_have_the_same_backbone():
    ours, other = (build_model(load_config(n, 4)) for n in (OURS, OTHER))
    assert type(ours.neck).__name__ == 'NeckChain'
    assert type(other.neck).__name__ == 'PassThroughNeck'
    states = [model.backbone.state_dict() for model in (ours, other)]
    torch.testing.assert_close(*states)  # the same start, too


@pytest.mark.parametrize('name', [OURS, OTHER])
@pytest.mark.parametrize('dtype', [None, 'bfloat16'])
def test_a_step_trains_and_a_prediction_does_not(name, dtype):
    stepper = Stepper(name, 2, dtype=dtype, **TINY)

    def weights():
        return [p.detach().clone() for p in stepper.model.parameters()]

    before = weights()
    stepper.infer()
    assert all(map(torch.equal, before, weights()))
    stepper.train()
    changed = [not torch.equal(*p) for p in zip(before, weights())]  # noqa: B905
    assert sum(changed) > len(changed) / 2
    assert all(w.isfinite().all() for w in weights())


def test_memory_case_builds_and_steps_twice(monkeypatch):
    calls = []
    monkeypatch.setattr(Stepper, 'train', lambda self: calls.append(self))
    run = memory_case('train', name=OURS, batch=1, **TINY)
    assert len(calls) == 1  # the warm-up, of another model
    run()
    assert len(calls) == 3 and calls[1] is calls[2] is not calls[0]


def test_figures_of_both(monkeypatch):
    monkeypatch.setattr(
        training_step.memory,
        'peaks',
        lambda factory, cases, device: [
            Peak((51 if c['name'] == OURS else 50) * 2**20, 1.0) for c in cases
        ],
    )
    times = measure_steps(1, 1, **TINY)
    peaks = measure_memory((1, 2), ('train', 'infer'), **TINY)
    assert [f.case['what'] for f in times] == ['training', 'inference']
    assert [f.case['batch'] for f in peaks] == [1, 2, 1, 2]
    assert {f.bar for f in times} == {1.03}
    assert {f.ratio for f in peaks} == {1.02} and all(f.met for f in peaks)


def test_work_is_counted():
    adds, parameters = count_work(**TINY)
    models = [build_model(load_config(name, 4)) for name in (OURS, OTHER)]
    sizes = [sum(p.numel() for p in m.parameters()) / 1e6 for m in models]
    assert [parameters.ours, parameters.other] == sizes
    assert adds.ours > adds.other > 0 and adds.ratio > 1


def figure(batch, ours, other):
    case = dict(what='training', batch=batch)
    return Figure(case, 'memory', ours / other, ours, other)


def test_the_line_to_the_recipes_batch():
    mib = 2**20
    # 100 + 10 a video, against 40 + 10 a video.
    small = figure(2, 120 * mib, 60 * mib)
    large = figure(4, 140 * mib, 80 * mib)
    (found,) = at_recipe_batch([small, large])
    assert found.ours == 420 * mib and found.other == 360 * mib
    assert 'line' in found.note and found.case['batch'] == 32


def test_no_line_through_noise():
    assert at_recipe_batch([figure(2, 9, 5), figure(4, 8, 6)]) == []
