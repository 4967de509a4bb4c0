"""Labels that are distributions over classes, as mixup and cutmix leave."""

import itertools

import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from torch.nn import functional as F

from micacl_mm import MCCLLoss
from micacl_mm.models.losses.functional import FORMS, mccl
from micacl_mm.registry import MODELS

B, D, K = 5, 8, 3


@pytest.fixture
def z():
    return torch.randn(B, D, dtype=torch.double)


@pytest.fixture
def y():
    return torch.rand(B, K, dtype=torch.double).softmax(1)


@pytest.mark.parametrize('include_self', [False, True])
@pytest.mark.parametrize('form', FORMS)
def test_one_hot_labels_equal_classes(z, form, include_self):
    labels = torch.tensor([0, 1, 0, 2, 1])
    options = dict(form=form, include_self=include_self)
    hard = mccl(z, labels, **options)
    soft = mccl(z, F.one_hot(labels).double(), **options)
    torch.testing.assert_close(soft, hard)


def draws(y):
    """All ways in which the videos can be of one class each, with chances."""
    for classes in itertools.product(range(y.shape[1]), repeat=len(y)):
        chance = torch.stack([y[i, c] for i, c in enumerate(classes)]).prod()
        yield classes, chance


@pytest.mark.parametrize('form', ['log', 'out'])
def test_equals_explicit_sums(z, y, form):
    weights, tau = torch.rand(B, dtype=torch.double), 0.3
    total = 0.0
    for i in range(B):
        others = [j for j in range(B) if j != i]
        e = {j: (F.cosine_similarity(z[i], z[j], 0) / tau) for j in others}
        p = {j: (y[i] * y[j]).sum() for j in others}
        every = sum(e[j].exp() for j in others)
        paired = sum(
            chance
            for classes, chance in draws(y)
            if any(classes[j] == classes[i] for j in others)
        )
        if form == 'log':
            term = -(sum(p[j] * e[j].exp() for j in others) / every).log()
        else:
            mean = sum(p[j] * (e[j] - every.log()) for j in others)
            term = -mean / sum(p.values())
        total = total + weights[i] * paired * term / B
    found = mccl(
        z, y, scales=(1,), temperature=tau, weights=weights, form=form
    )
    torch.testing.assert_close(found, total)


@pytest.mark.parametrize('include_self', [False, True])
def test_ratio_is_the_expectation_over_drawn_classes(z, y, include_self):
    options = dict(form='ratio', include_self=include_self)
    expected = sum(
        chance * mccl(z, torch.tensor(classes), **options)
        for classes, chance in draws(y)
    )
    torch.testing.assert_close(mccl(z, y, **options), expected)


@pytest.mark.parametrize('form', FORMS)
def test_a_video_alone_is_of_its_own_class(form):
    z, y = torch.randn(1, D), torch.tensor([[0.5, 0.5]])
    hard = mccl(z, torch.tensor([0]), form=form, include_self=True)
    soft = mccl(z, y, form=form, include_self=True)
    torch.testing.assert_close(soft, hard)


def test_sure_and_impossible_classes_stay_finite():
    y = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    z = torch.randn(4, D, requires_grad=True)
    mccl(z, y).backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize('form', ['log', 'out'])
def test_an_unlikely_pair_counts_little(z, form):
    sure = torch.tensor([[1, 0, 0], [1, 0, 0]], dtype=torch.double)
    unlikely = torch.tensor([[1, 0, 0], [0.01, 0.99, 0]], dtype=torch.double)
    z = torch.cat([z[:2], z[:1]]).requires_grad_()
    rest = torch.tensor([[0, 0, 1]], dtype=torch.double)

    def gradient(labels):
        return torch.autograd.grad(
            mccl(z, torch.cat([labels, rest]), form=form), z
        )[0]

    torch.testing.assert_close(gradient(unlikely), 0.01 * gradient(sure))


@pytest.mark.parametrize('form', FORMS)
def test_gradcheck(z, y, form):
    torch.autograd.gradcheck(
        lambda x: mccl(x, y, form=form, temperature=0.5),
        z.requires_grad_(),
    )


@pytest.mark.parametrize('form', FORMS)
def test_no_pair_of_a_class_gives_zero(form):
    z = torch.randn(3, D, requires_grad=True)
    loss = mccl(z, torch.eye(3), form=form)
    assert loss == 0
    loss.backward()
    assert torch.equal(z.grad, torch.zeros_like(z))


@pytest.mark.parametrize(
    'options',
    [{}, dict(prototypes=True, in_channels=D), dict(class_weight='none')],
    ids=str,
)
def test_module_takes_both_forms_alike(options):
    loss = MCCLLoss(
        class_counts=[90, 10, 3], temperature_mode='per_class', **options
    )
    z, labels = torch.randn(B, D), torch.tensor([0, 1, 0, 2, 1])
    torch.testing.assert_close(
        loss(z, F.one_hot(labels).float()), loss(z, labels)
    )
    assert loss(z, torch.rand(B, 3).softmax(1)).isfinite()


def test_what_does_not_fit_is_refused():
    loss, z = MCCLLoss(class_counts=[1, 1, 1]), torch.randn(B, D)
    with pytest.raises(ValueError, match='mixup.*several classes'):
        loss(z, torch.ones(B, K))
    loss(z, F.one_hot(torch.arange(B) % K))  # whole numbers: not blended
    with pytest.raises(ValueError, match='over 4 classes.*agree'):
        loss(z, torch.rand(B, 4).softmax(1))


@pytest.mark.parametrize('kind', ['MixupBlending', 'CutmixBlending'])
def test_blending_in_a_stock_recognizer(kind):
    init_default_scope('mmaction')
    model = MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(
                type='ResNet3dSlowOnly',
                depth=18,
                base_channels=4,
                pretrained=None,
            ),
            neck=dict(
                type='WIAN',
                in_channels=32,
                out_channels=32,
                aux_loss=dict(type='MCCLLoss', class_counts=[50, 20, 5]),
            ),
            cls_head=dict(
                type='I3DHead', num_classes=3, in_channels=32, topk=(1,)
            ),
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                format_shape='NCTHW',
                blending=dict(type=kind, num_classes=3, alpha=0.8),
            ),
        )
    )
    data = dict(
        inputs=[torch.rand(4, 3, 2, 32, 32) for _ in range(3)],
        data_samples=[ActionDataSample().set_gt_label(i) for i in (0, 1, 1)],
    )
    batch = model.data_preprocessor(data, training=True)
    assert batch['data_samples'][0].gt_label.shape == (3,)
    losses = model(**batch, mode='loss')
    assert losses['loss_mccl'] > 0
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.neck.parameters())
