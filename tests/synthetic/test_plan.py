"""Classes, persons and splits, without drawing anything."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from micacl_mm.synthetic import EMOTIONS, ClipSpec
from micacl_mm.synthetic.clip import clip_layout
from micacl_mm.synthetic.plan import (
    DFEW_COUNTS,
    FERV39K_TEST,
    FERV39K_TRAIN,
    plan_dfew,
    plan_ferv39k,
    proportional_counts,
)

FOLDS = (1, 2, 3, 4, 5)


def _classes(clips):
    counts = Counter(clip.emotions[0] for clip in clips)
    return [counts[emotion] for emotion in EMOTIONS]


def test_counts_are_the_official_ones():
    assert sum(DFEW_COUNTS) == 11697
    assert sum(FERV39K_TRAIN) == 31088
    assert sum(FERV39K_TEST) == 7847


@pytest.mark.parametrize('total', [35, 40, 100, 1375, 11697])
def test_proportional_counts(total):
    counts = np.array(proportional_counts(total, DFEW_COUNTS, 5))
    assert counts.sum() == total and counts.min() >= 5
    share = np.array(DFEW_COUNTS) / 11697 * total
    if total >= 500:
        assert np.abs(counts - share).max() < 1.01
    if total == 11697:
        assert counts.tolist() == list(DFEW_COUNTS)


def test_dfew_folds_partition_the_clips():
    plan = plan_dfew(300, 0, FOLDS, 0)
    single = {c.clip_id for c in plan.clips if len(c.emotions) == 1}
    assert len(single) == 300
    tests = [{c.clip_id for c in plan.splits[f'test{k}']} for k in FOLDS]
    assert sum(map(len, tests)) == 300 and set.union(*tests) == single
    for fold, test in zip(FOLDS, tests, strict=True):
        train = {c.clip_id for c in plan.splits[f'train{fold}']}
        assert train == single - test
        assert min(_classes(plan.splits[f'test{fold}'])) >= 1
        assert min(_classes(plan.splits[f'train{fold}'])) >= 1


def test_dfew_folds_have_equal_sizes_at_full_size():
    plan = plan_dfew(11697, 0, FOLDS, 0)
    for fold in FOLDS:
        sizes = np.array(_classes(plan.splits[f'test{fold}']))
        assert np.abs(sizes - np.array(DFEW_COUNTS) / 5).max() <= 1


@pytest.mark.parametrize('top_up', [0, 12])
def test_persons_of_train_and_test_are_disjoint(top_up):
    plan = plan_dfew(300, 1, FOLDS, top_up)
    pairs = [(f'train{k}', f'test{k}') for k in FOLDS]
    for splits, names in (
        (plan.splits, pairs),
        (plan_ferv39k(300, 1, top_up).splits, [('train', 'test')]),
    ):
        for train, test in names:
            persons = {c.identity for c in splits[train]}
            assert persons.isdisjoint(c.identity for c in splits[test])


def test_top_up_stands_in_no_training_split():
    plan = plan_dfew(300, 0, FOLDS, 12)
    extra = {c.clip_id for c in plan.clips if c.extra}
    assert extra
    for fold in FOLDS:
        assert min(_classes(plan.splits[f'test{fold}'])) >= 12
        train = {c.clip_id for c in plan.splits[f'train{fold}']}
        assert not train & extra and len(train) == 240
    ferv = plan_ferv39k(300, 0, 12)
    assert min(_classes(ferv.splits['test'])) >= 12
    assert not any(c.extra for c in ferv.splits['train'])


def test_top_up_and_folds_leave_the_other_clips_alone():
    plain = plan_dfew(100, 0, FOLDS, 0)
    topped = plan_dfew(100, 0, FOLDS, 5)
    one = plan_dfew(100, 0, (2,), 5)
    # The number on disk aside, from which no pixel hangs.
    drawn = {replace(c, name='') for c in topped.clips if not c.extra}
    assert drawn == {replace(c, name='') for c in plain.clips}
    assert one.splits['train2'] == plain.splits['train2']
    assert one.splits['test2'] == topped.splits['test2']
    assert set(one.splits) == {'train2', 'test2'}
    for plan in (plain, topped, one):
        numbers = [int(clip.name) for clip in plan.clips]
        assert numbers == sorted(set(numbers))
        assert len({clip.clip_id for clip in plan.clips}) == len(numbers)


def test_ferv39k_has_the_real_ratio():
    plan = plan_ferv39k(1000, 0, 0)
    train, test = plan.splits['train'], plan.splits['test']
    assert len(train) + len(test) == 1000 and abs(len(test) - 202) <= 1
    share = np.array(FERV39K_TRAIN) / 31088 * len(train)
    assert np.abs(np.array(_classes(train)) - share).max() < 1.01
    assert len({clip.name for clip in plan.clips}) == 1000
    for clip in plan.clips:
        assert clip.name.split('/')[1] == clip.emotions[0]


def _assert_unrelated(values, label, least=30):
    """The mean rank of each class is that of all."""
    values = np.argsort(np.argsort(values)) / len(values)
    for index in range(len(EMOTIONS)):
        part = values[label == index]
        if len(part) >= least:
            error = part.std() / np.sqrt(len(part))
            assert abs(part.mean() - 0.5) < 4 * error


@pytest.mark.parametrize('top_up', [0, 80])
@pytest.mark.parametrize('layout', ['dfew', 'ferv39k'])
def test_numbers_rows_persons_and_lengths_do_not_tell_the_class(
    layout, top_up
):
    if layout == 'dfew':
        plan = plan_dfew(2000, 0, FOLDS, top_up)
    else:
        plan = plan_ferv39k(2000, 0, top_up)
    for clips in plan.splits.values():
        label = np.array([EMOTIONS.index(c.emotions[0]) for c in clips])
        if top_up:
            assert np.bincount(label).min() > 0
        _assert_unrelated(range(len(clips)), label)
        _assert_unrelated([c.identity for c in clips], label)
        length = [clip_layout(c, 0, layout)[0] for c in clips]
        _assert_unrelated(length, label)
        if layout == 'dfew':  # FERV39k's names hold the class anyhow
            _assert_unrelated([int(c.name) for c in clips], label)


@pytest.mark.parametrize(
    'layout, least, median, most',
    [('dfew', 11, 30, 64), ('ferv39k', 8, 28, 47)],
)
def test_lengths_and_gaps(layout, least, median, most):
    found = [
        clip_layout(ClipSpec(i, ('Sad',), 0, 0), 0, layout)
        for i in range(1500)
    ]
    lengths = np.array([length for length, _ in found])
    assert lengths.min() >= least and lengths.max() <= most
    assert abs(np.median(lengths) - median) <= 2
    short = (lengths < 16).mean()
    assert 0.01 < short < (0.05 if layout == 'dfew' else 0.15)
    gaps = [length - len(numbers) for length, numbers in found]
    assert 0.05 < np.mean(np.array(gaps) > 0) < 0.25 and max(gaps) <= 3
    for length, numbers in found:
        assert numbers == sorted(set(numbers))
        assert numbers[0] >= 1 and numbers[-1] <= length
