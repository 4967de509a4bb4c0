from itertools import product

import pytest
import torch
from torch.nn import functional as F

from micacl_mm.models.losses import LongTailCrossEntropyLoss, class_weights
from micacl_mm.registry import MODELS

from .helpers import samples

COUNTS = [90, 30, 5, 1]
KINDS = ['none', 'inverse', 'inverse_sqrt']


@pytest.fixture
def scores():
    return torch.randn(12, 4)


@pytest.fixture
def labels():
    return torch.arange(12) % 4


@pytest.mark.parametrize('kind', KINDS)
def test_weights_equal_torch_on_classes(scores, labels, kind):
    weight = class_weights(torch.tensor(COUNTS), kind)
    loss = LongTailCrossEntropyLoss(class_counts=COUNTS, class_weight=kind)
    expected = F.cross_entropy(scores, labels, weight=weight)
    torch.testing.assert_close(loss(scores, labels), expected)


@pytest.mark.parametrize('kind', KINDS)
def test_weights_equal_mmaction2_on_distributions(scores, kind):
    soft = torch.rand(12, 4).softmax(dim=1)
    weight = class_weights(torch.tensor(COUNTS), kind).tolist()
    loss = LongTailCrossEntropyLoss(class_counts=COUNTS, class_weight=kind)
    stock = MODELS.build(dict(type='CrossEntropyLoss', class_weight=weight))
    torch.testing.assert_close(loss(scores, soft), stock(scores, soft))


@pytest.mark.parametrize('tau', [0.5, 1.0])
def test_logit_adjustment_equals_the_pairwise_margins_of_its_paper(
    scores, labels, tau
):
    """log(1 + sum_k (pi_k / pi_y)^tau exp(f_k - f_y)), equation 11."""
    loss = LongTailCrossEntropyLoss(class_counts=COUNTS, logit_adjustment=tau)
    expected = 0
    for f, y in zip(scores.double(), labels.tolist(), strict=True):
        pairs = [
            (COUNTS[k] / COUNTS[y]) ** tau * (f[k] - f[y]).exp()
            for k in range(4)
            if k != y
        ]
        expected += (1 + sum(pairs)).log() / len(labels)
    assert loss(scores, labels).item() == pytest.approx(expected.item(), 1e-5)


@pytest.mark.parametrize('gamma', [0.5, 2.0])
def test_focal_of_two_classes_equals_the_sigmoid_form(gamma):
    ops = pytest.importorskip('torchvision.ops')
    scores, labels = torch.randn(20, 2), torch.arange(20) % 2
    loss = LongTailCrossEntropyLoss(num_classes=2, gamma=gamma)
    expected = ops.sigmoid_focal_loss(
        scores[:, 1] - scores[:, 0],
        labels.float(),
        alpha=-1,
        gamma=gamma,
        reduction='mean',
    )
    torch.testing.assert_close(loss(scores, labels), expected)


def test_all_at_once_equals_the_formula_term_by_term(scores):
    soft = torch.rand(12, 4).softmax(dim=1)
    loss = LongTailCrossEntropyLoss(
        class_counts=COUNTS,
        class_weight='inverse_sqrt',
        logit_adjustment=1.0,
        gamma=2.0,
        loss_weight=3.0,
    )
    weights = [n**-0.5 for n in COUNTS]
    over = under = 0.0
    for f, y in zip(scores.double(), soft.double(), strict=True):
        e = [n / sum(COUNTS) * s.exp() for n, s in zip(COUNTS, f, strict=True)]
        focus = (1 - sum(y[c] * e[c] / sum(e) for c in range(4))) ** 2
        for c in range(4):
            over -= weights[c] * y[c] * focus * (e[c] / sum(e)).log()
            under += weights[c] * y[c]
    assert loss(scores, soft).item() == pytest.approx(
        3 * (over / under).item(), 1e-5
    )


OPTIONS = [
    dict(class_weight=kind, logit_adjustment=tau, gamma=gamma)
    for kind, tau, gamma in (
        ('none', 0.0, 0.5),
        ('none', 1.0, 0.0),
        ('inverse', 0.0, 0.0),
        ('inverse', 1.0, 0.5),
        ('inverse', 1.0, 2.0),
    )
]


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_gradients(options):
    scores = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    soft = torch.rand(3, 4, dtype=torch.double).softmax(dim=1)
    loss = LongTailCrossEntropyLoss(class_counts=COUNTS, **options)
    for label in (torch.tensor([0, 3, 3]), soft):
        assert torch.autograd.gradcheck(lambda s, y=label: loss(s, y), scores)


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@pytest.mark.parametrize(
    'counts, classes',
    [([9, 0, 3, 0], [0, 2]), ([9, 0, 3, 0], [1, 3]), ([7], [0])],
    ids=['absent', 'only absent', 'one class'],
)
def test_degenerate_classes_stay_finite(options, counts, classes):
    loss = LongTailCrossEntropyLoss(class_counts=counts, **options)
    size = len(counts)
    hard = torch.tensor(classes)
    smooth = 0.9 * F.one_hot(hard, size) + 0.1 / size
    for label, scale in product((hard, smooth), (0, 1, 1e4)):
        scores = (scale * torch.randn(len(hard), size)).requires_grad_()
        value = loss(scores, label)
        value.backward()
        assert value.isfinite() and scores.grad.isfinite().all()
        if size == 1:
            assert value == 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(scores, labels, dtype):
    loss = LongTailCrossEntropyLoss(class_counts=COUNTS, logit_adjustment=1.0)
    found = loss(scores.to(dtype), labels)
    assert found.dtype == torch.float32
    assert found == loss(scores.to(dtype).float(), labels)


@pytest.mark.parametrize('size', [1, 4])
def test_in_a_head(size):
    counts, smoothing = [4, 3, 2, 1], 0.1
    head = MODELS.build(
        dict(
            type='I3DHead',
            in_channels=8,
            num_classes=4,
            label_smooth_eps=smoothing,
            topk=(1,),
            loss_cls=dict(
                type='LongTailCrossEntropyLoss',
                num_classes=4,
                class_weight='inverse',
                logit_adjustment=1.0,
            ),
        )
    ).eval()
    head.loss_cls.set_class_counts(counts)
    feats, truth = torch.randn(size, 8, 1, 1, 1), samples([3, 0, 1, 2][:size])
    found = head.loss(feats, truth)['loss_cls']
    weight = 1 / torch.tensor(counts)
    logits = head(feats) + (torch.tensor(counts) / 10).log()
    target = torch.stack([sample.gt_label for sample in truth]).squeeze(1)
    target = (1 - smoothing) * F.one_hot(target, 4) + smoothing / 4
    terms = weight * target * logits.log_softmax(dim=1)
    torch.testing.assert_close(found, -terms.sum() / (weight * target).sum())


def test_counts_come_from_outside_and_stay_in_the_checkpoint(scores, labels):
    loss = LongTailCrossEntropyLoss(num_classes=4, class_weight='inverse')
    with pytest.raises(ValueError, match='ClassCountsHook'):
        loss(scores, labels)
    loss.set_class_counts(COUNTS)
    again = LongTailCrossEntropyLoss(num_classes=4, class_weight='inverse')
    again.load_state_dict(loss.state_dict())
    assert again(scores, labels) == loss(scores, labels)


def test_without_options_no_counts_are_needed(scores, labels):
    loss = LongTailCrossEntropyLoss(num_classes=4)
    torch.testing.assert_close(
        loss(scores, labels), F.cross_entropy(scores, labels)
    )


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(class_weight='rare'), "class_weight .* got 'rare'"),
        (dict(class_weight='raw_inverse'), "class_weight .* got 'raw_inv"),
        (dict(gamma=-1), 'not be negative'),
        (dict(logit_adjustment=-1), 'not be negative'),
        (dict(num_classes=None), 'give num_classes'),
    ],
)
def test_wrong_options(options, match):
    with pytest.raises(ValueError, match=match):
        LongTailCrossEntropyLoss(**{'num_classes': 4, **options})


@pytest.mark.parametrize(
    'scores, label, match',
    [
        ((2, 5), (2,), r'\(B, 4\).*, got \(2, 5\) and \(2,\)'),
        ((4,), (4,), r'\(B, 4\).*, got \(4,\)'),
        ((2, 4), (3,), r'got \(2, 4\) and \(3,\)'),
        ((2, 4), (2, 1), r'got \(2, 4\) and \(2, 1\)'),
    ],
)
def test_wrong_shapes(scores, label, match):
    loss = LongTailCrossEntropyLoss(num_classes=4)
    with pytest.raises(ValueError, match=match):
        loss(torch.zeros(scores), torch.zeros(label, dtype=torch.long))
