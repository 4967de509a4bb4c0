from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import (
    BaseDataset,
    ClassBalancedDataset,
    ConcatDataset,
    DefaultSampler,
    InfiniteSampler,
    RepeatDataset,
)
from torch import nn
from torch.utils.data import DataLoader

from micacl_mm.hooks.consistency_hook import ConsistencyHook
from micacl_mm.models import MCCLLoss

STEPS = [dict(type='SampleInstances', test_mode=True), dict(type='Resize')]
DRAWING = [dict(type='SampleInstances'), dict(type='Flip')]
SETTINGS = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='Clips', pipeline=STEPS),
)


class Clips(BaseDataset):
    """Labels, with names of their classes unless these are None."""

    def __init__(self, labels=(0, 1, 2), classes='abc'):
        self.labels = labels
        named = dict(classes=list(classes)) if classes else {}
        super().__init__(metainfo=named)

    def load_data_list(self):
        return [
            dict(label=x, video_id=f'clip{i}')
            for i, x in enumerate(self.labels)
        ]

    def get_cat_ids(self, idx):
        return [self.labels[idx]]


def model(head=3, loss=3):
    model = nn.Module()
    model.cls_head = nn.Linear(1, 1)
    model.cls_head.num_classes = head
    model.neck = nn.Module()
    model.neck.aux_loss = MCCLLoss(num_classes=loss)
    return model


def check_test(data=None, settings=SETTINGS, model=model()):  # noqa: B008
    runner = SimpleNamespace(
        model=model,
        test_dataloader=DataLoader(data or Clips()),
        cfg=Config(dict(test_dataloader=settings)),
    )
    ConsistencyHook().before_test(runner)


def check_train(train=None, clips=None, model=model(), **settings):  # noqa: B008
    runner = SimpleNamespace(
        model=model,
        train_dataloader=DataLoader(Clips()) if train is None else train,
        val_loop=clips and SimpleNamespace(dataloader=DataLoader(clips)),
        cfg=Config({f'{k}_dataloader': v for k, v in settings.items()}),
    )
    ConsistencyHook().before_train(runner)


def test_consistent_settings_pass():
    check_test()
    check_test(Clips(np.array([0, 2])))
    check_test(ConcatDataset([Clips(), Clips()]))
    check_train(clips=Clips(), test=SETTINGS)
    check_train(DataLoader(ClassBalancedDataset(Clips(), oversample_thr=0.5)))
    check_train(DataLoader(RepeatDataset(Clips(), 3)), Clips())


@pytest.mark.parametrize(
    ('kwargs', 'text'),
    [
        (dict(head=7), r'cls_head \(Linear\) has num_classes=7.*3 classes'),
        (dict(loss=8), r'neck.aux_loss \(MCCLLoss\) has num_classes=8'),
    ],
)
def test_parts_of_other_class_counts_are_named(kwargs, text):
    with pytest.raises(ValueError, match=text):
        check_train(model=model(**kwargs))


@pytest.mark.parametrize('label', [3, -1])
def test_labels_out_of_range_are_named(label):
    text = f'label {label} of clip clip1 of the test split'
    for data in (Clips([0, label]), ConcatDataset([Clips([0, label])] * 2)):
        with pytest.raises(ValueError, match=text):
            check_test(data)


@pytest.mark.parametrize('clips', [1, 3])
def test_a_training_set_that_fills_no_batch_is_refused(clips):
    data, options = Clips([0] * clips), dict(batch_size=4, drop_last=True)
    text = f'has {clips} clips, which do not fill one batch of 4'
    with pytest.raises(ValueError, match=text):
        check_train(DataLoader(data, **options))
    # Of a training by iterations, which begins it again.
    check_train(DataLoader(data, sampler=InfiniteSampler(data), **options))


def test_another_order_of_classes_is_refused():
    with pytest.raises(ValueError, match='a, b, c, those of val b, a, c'):
        check_train(clips=Clips(classes='bac'))


def test_labels_are_held_against_the_head_where_classes_have_no_names():
    for label in (3, 9, -2):
        with pytest.raises(ValueError, match="none of the head's 3 classes"):
            check_test(Clips([0, label], None))
    check_test(Clips([0, 2, np.int64(1)], None))
    check_test(Clips([-1, -1], None))  # no labels
    check_test(Clips([[0, 9], [1]], None))  # several each
    check_test(Clips([9], None), model=nn.Linear(1, 1))


def data(*steps):
    return dict(dataset=dict(type='Clips', pipeline=[*STEPS, *steps]))


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (dict(drop_last=True), 'drop_last=True'),
        (dict(batch_sampler=dict(drop_last=True)), 'drop_last=True'),
        (dict(sampler=dict(type='DefaultSampler')), 'shuffles'),
        (dict(sampler=dict(type=DefaultSampler)), 'shuffles'),
        *[
            (dict(sampler=dict(type=kind)), 'shuffles')
            for kind in ('WeightedRandomSampler', 'micacl_mm.InfiniteSampler')
        ],
        (dict(sampler=dict(type='ClassBalancedSampler')), 'shuffles'),
        (dict(batch_sampler=dict(type='ClassAwareBatchSampler')), 'shuffles'),
        (dict(shuffle=True), 'shuffles'),
        (
            dict(sampler=None, batch_sampler=dict(sampler=dict(shuffle=True))),
            'shuffles',
        ),
        (data(dict(type='Flip')), 'random in Flip'),
        (data(dict(type='SampleFrames', clip_len=1)), 'random in SampleFr'),
        (data(dict(type='RandomResizedCrop')), 'random in RandomResizedCrop'),
        (data(dict(type='ColorJitter')), 'random in ColorJitter'),
        (
            dict(
                dataset=dict(datasets=[dict(dataset=dict(pipeline=DRAWING))])
            ),
            'random in SampleInstances and Flip',
        ),
    ],
    ids=str,
)
def test_chance_and_lost_clips_in_an_evaluation_are_refused(change, text):
    wrong = {**SETTINGS, **change}
    with pytest.raises(ValueError, match=f'test_dataloader.*{text}'):
        check_test(settings=wrong)
    for split in ('val', 'test'):  # the test before the training, too
        with pytest.raises(ValueError, match=f'{split}_dataloader.*{text}'):
            check_train(**{split: wrong})


def test_all_faults_are_told_at_once():
    wrong = dict(drop_last=True, dataset=dict(pipeline=DRAWING))
    with pytest.raises(ValueError) as error:
        check_test(Clips([5]), wrong)
    for text in ('label 5', 'drop_last', 'SampleInstances and Flip'):
        assert text in str(error.value)
