"""Post-hoc logit adjustment against its formula."""

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from micacl_mm.export import export_program
from micacl_mm.hooks.logit_adjustment_hook import adjust_by_checkpoint
from micacl_mm.models import logit_adjustment
from micacl_mm.models.logit_adjustment import adjust_logits
from micacl_mm.records.training import find_class_counts
from micacl_mm.registry import MODELS

COUNTS = [90, 9, 0]
MODEL = dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet3d',
        depth=18,
        pretrained=None,
        base_channels=2,
        conv_cfg=dict(type='Conv3d'),
        norm_eval=True,
    ),
    cls_head=dict(
        type='I3DHead',
        num_classes=3,
        in_channels=16,
        init_std=1.0,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor', format_shape='NCTHW'
    ),
)


@pytest.fixture(scope='module')
def model():
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    model.init_weights()
    return model.eval()


def predict(model, clips):
    """Scores (N, K) of videos (N, views, C, T, H, W)."""
    samples = [ActionDataSample() for _ in clips]
    data = dict(inputs=list(clips), data_samples=samples)
    with torch.no_grad():
        found = model.test_step(data)
    return torch.stack([sample.pred_score for sample in found])


@pytest.mark.parametrize('tau', [0.5, 1.0])
def test_scores_are_those_of_shifted_logits(model, tau):
    clips = torch.rand(4, 2, 3, 4, 32, 32)
    shares = torch.tensor([90.0, 9.0, 1.0]) / 100  # 0 counts as 1
    views = [predict(model, clips[:, i : i + 1]) for i in range(2)]
    wanted = [p.log().sub(tau * shares.log()).softmax(-1) for p in views]
    before = predict(model, clips)
    handle = adjust_logits(model, tau, COUNTS)
    found = predict(model, clips)
    handle.remove()
    torch.testing.assert_close(found, sum(wanted) / 2)
    assert (found[:, 2] > before[:, 2]).all()  # the rarest gains
    assert torch.equal(predict(model, clips), before)


def test_training_is_untouched(model):
    head, features = model.cls_head, torch.rand(2, 16, 1, 1, 1)
    plain = head(features)
    handle = adjust_logits(model, 1.0, COUNTS)
    head.train()
    head.dropout.p = 0.0
    found = head(features)
    head.eval()
    handle.remove()
    assert torch.equal(found, plain)


def test_an_exported_file_has_it_inside(model, tmp_path):
    handle = adjust_logits(model, 1.0, COUNTS)
    path = tmp_path / 'x.pt2'
    export_program(model, path, (1, 3, 4, 32, 32), dtype=torch.float32)
    clips = torch.rand(2, 1, 3, 4, 32, 32)
    wanted = predict(model, clips)
    handle.remove()
    program = torch.export.load(path).module()
    torch.testing.assert_close(program(clips), wanted)
    assert not torch.allclose(predict(model, clips), wanted)


def test_counts_of_checkpoints():
    buffer = torch.tensor([3, 2])
    state = {'neck.aux_loss.class_counts': buffer, 'x.weight': buffer}
    assert find_class_counts(dict(state_dict=state)) == [3, 2]
    meta = dict(micacl_mm=dict(dataset='x', class_counts=[5, 1]))
    found = find_class_counts(dict(meta=meta, state_dict=state))
    assert found == [5, 1]
    for counts in ('12', [1.5, 2], {'a': 1}):
        bad = dict(meta=dict(micacl_mm=dict(dataset='x', class_counts=counts)))
        with pytest.raises(ValueError, match='holds none'):
            find_class_counts(bad)


@pytest.mark.parametrize(
    ('tau', 'counts', 'problem'),
    [
        (-1.0, COUNTS, 'tau must be'),
        (float('nan'), COUNTS, 'tau must be'),
        (1.0, [1, 2], 'class_counts must be 3'),
        (1.0, [0, 0, 0], 'class_counts must be 3'),
        (1.0, [1, 2, -3], 'class_counts must be 3'),
    ],
)
def test_wrong_arguments(model, tau, counts, problem):
    with pytest.raises(ValueError, match=problem):
        adjust_logits(model, tau, counts)
    with pytest.raises(ValueError, match='must have a cls_head'):
        adjust_logits(torch.nn.Linear(1, 1), tau, counts)


def test_a_second_adjustment_is_warned_of(model, monkeypatch):
    said = []
    monkeypatch.setattr(
        logit_adjustment, 'print_log', lambda text, **_: said.append(text)
    )
    adjust_logits(model, 1.0, COUNTS).remove()
    assert not said
    loss = model.cls_head.loss_cls
    monkeypatch.setattr(loss, 'logit_adjustment', 1.0, raising=False)
    adjust_logits(model, 1.0, COUNTS).remove()
    assert 'adjusted twice' in said[0]
    # By the checkpoint: a classifier that was retrained has none.
    for start, warnings in (('none', 2), ('k400+features_of_a_0f', 2)):
        facts = dict(pretraining=start, class_counts=COUNTS)
        meta = dict(micacl_mm=facts)
        adjust_by_checkpoint(model, 1.0, dict(meta=meta)).remove()
        assert len(said) == warnings
