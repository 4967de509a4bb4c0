from itertools import combinations

import pytest

from tools.dev.benchmark import rare_classes
from tools.dev.benchmark.rare_classes import (
    COUNTS,
    closed_form,
    joint_batches,
    share_with_positive,
)


@pytest.mark.parametrize('counts', [[4, 2], [3, 3, 2], [6, 1]])
@pytest.mark.parametrize('batch', [2, 3, 5])
def test_closed_form_equals_all_batches_there_are(counts, batch):
    rare = counts.index(min(counts))
    clips = [c for c, n in enumerate(counts) for _ in range(n)]
    found = [
        batch.count(rare)
        for batch in combinations(clips, batch)
        if rare in batch
    ]
    share = sum(n for n in found if n > 1) / sum(found)
    assert closed_form(counts, batch) == pytest.approx(share)


@pytest.mark.parametrize('option', rare_classes.OPTIONS)
@pytest.mark.parametrize('name', COUNTS)
def test_samplers_agree_with_the_closed_form(name, option):
    setting = rare_classes.OPTIONS[option]
    counted = share_with_positive(COUNTS[name], 32, anchors=400, **setting)
    expected = closed_form(COUNTS[name], 32, **setting)
    # Anchors of a batch go together: twice the spread of single ones.
    spread = 2 * (expected * (1 - expected) / 400) ** 0.5
    assert abs(counted['share'] - expected) <= 4 * spread + 1e-4


def test_the_figures_of_the_task():
    dfew = COUNTS['DFEW fold 1']
    clips, rare = sum(dfew), min(dfew)
    for batch, share in ((32, 0.06), (256, 0.83)):
        none = one = 1.0
        for k in range(batch):  # two Disgust clips or more in a batch
            none *= (clips - rare - k) / (clips - k)
        one = none * batch * rare / (clips - rare - batch + 1)
        assert 1 - none - one == pytest.approx(share, abs=0.005)


def test_a_queue_helps_only_once_it_is_full():
    counts = [40, 2]
    assert share_with_positive(counts, 2, queue=80, anchors=20)['share'] == 1
    few = share_with_positive(counts, 2, queue=4, anchors=100)['share']
    assert 0 < few < 1


def test_epochs_go_on():
    batches = joint_batches([3, 2], 5)
    for _ in range(3):
        assert sorted(next(batches)) == [0, 0, 0, 1, 1]
