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
from mmengine.registry import DefaultScope
from torch import nn, utils
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    SequentialSampler,
    WeightedRandomSampler,
)

from micacl_mm.hooks.consistency_hook import ConsistencyHook
from micacl_mm.models import MCCLLoss

TEST = [
    dict(type='SampleInstances', test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(8, 8), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
]
TRAIN = [dict(type='SampleInstances'), dict(type='Flip'), *TEST[1:]]


class Clips(BaseDataset):
    def __init__(self, labels, classes, pipeline):
        self.labels = labels
        with DefaultScope.overwrite_default_scope('mmaction'):
            super().__init__(metainfo=dict(classes=classes), pipeline=pipeline)

    def load_data_list(self):
        return [
            dict(label=x, video_id=f'clip{i}')
            for i, x in enumerate(self.labels)
        ]

    def get_cat_ids(self, idx):
        return [self.labels[idx]]


def loader(labels=(0, 1, 2), classes='abc', pipeline=TEST, **kwargs):
    data = Clips(list(labels), list(classes), pipeline)
    kwargs.setdefault('sampler', DefaultSampler(data, shuffle=False))
    return DataLoader(data, **kwargs)


def model(head=3, loss=3):
    model = nn.Module()
    model.cls_head = nn.Linear(1, 1)
    model.cls_head.num_classes = head
    model.neck = nn.Module()
    model.neck.aux_loss = MCCLLoss(num_classes=loss)
    return model


def check_test(test=None, **kwargs):
    runner = SimpleNamespace(
        model=model(), test_dataloader=test or loader(), **kwargs
    )
    ConsistencyHook().before_test(runner)


def check_train(train=None, val=None, test=None, **kwargs):
    runner = SimpleNamespace(
        model=model(**kwargs),
        train_dataloader=loader(pipeline=TRAIN) if train is None else train,
        val_loop=val and SimpleNamespace(dataloader=val),
        cfg=Config(dict(test_dataloader=test)),
    )
    ConsistencyHook().before_train(runner)


def test_consistent_settings_pass():
    check_test()
    check_test(loader(labels=np.array([0, 2])))
    check_train()
    check_train(val=loader())
    data = loader(pipeline=TRAIN).dataset
    check_train(DataLoader(ClassBalancedDataset(data, oversample_thr=0.5)))


@pytest.mark.parametrize(
    ('kwargs', 'text'),
    [
        (dict(head=7), r'cls_head \(Linear\) has num_classes=7.*3 classes'),
        (dict(loss=8), r'neck.aux_loss \(MCCLLoss\) has num_classes=8'),
    ],
)
def test_parts_of_other_class_counts_are_named(kwargs, text):
    with pytest.raises(ValueError, match=text):
        check_train(**kwargs)


@pytest.mark.parametrize('label', [3, -1])
def test_labels_out_of_range_are_named(label):
    text = f'label {label} of clip clip1 of the test split'
    with pytest.raises(ValueError, match=text):
        check_test(loader(labels=[0, label]))


@pytest.mark.parametrize('clips', [1, 3])
def test_a_training_set_that_fills_no_batch_is_refused(clips):
    few = loader(labels=[0] * clips, batch_size=4, drop_last=True)
    text = f'has {clips} clips, which do not fill one batch of 4'
    with pytest.raises(ValueError, match=text):
        check_train(few)
    # Of a training by iterations, which begins it again.
    endless = InfiniteSampler(few.dataset)
    few = dict(labels=[0] * clips, batch_size=4, drop_last=True)
    check_train(loader(**few, sampler=endless))


def test_another_order_of_classes_is_refused():
    with pytest.raises(ValueError, match='a, b, c, those of val b, a, c'):
        check_train(val=loader(classes='bac'))


@pytest.mark.parametrize(
    ('step', 'name'),
    [
        (dict(type='Flip'), 'Flip'),
        (dict(type='SampleInstances'), 'SampleInstances'),
        (dict(type='SampleFrames', clip_len=1), 'SampleFrames'),
        (dict(type='RandomResizedCrop'), 'RandomResizedCrop'),
        (dict(type='ColorJitter'), 'ColorJitter'),
    ],
)
def test_chance_in_a_test_is_refused(step, name):
    test = loader(pipeline=[*TEST, step])
    with pytest.raises(ValueError, match=f'is random in {name}'):
        check_test(test)
    with pytest.raises(ValueError, match='val_dataloader is random'):
        check_train(val=test)


def test_lost_and_shuffled_clips_are_refused():
    with pytest.raises(ValueError, match='drop_last=True'):
        check_test(loader(drop_last=True))
    data = loader().dataset
    for test in (
        DataLoader(data, sampler=DefaultSampler(data, shuffle=True)),
        DataLoader(data, shuffle=True),
    ):
        with pytest.raises(ValueError, match='shuffles'):
            check_test(test)


def test_all_faults_are_told_at_once():
    test = loader(labels=[5], pipeline=TRAIN, drop_last=True)
    with pytest.raises(ValueError) as error:
        check_test(test)
    for text in ('label 5', 'drop_last', 'SampleInstances and Flip'):
        assert text in str(error.value)


def test_what_is_joined_is_looked_into():
    parts = [loader().dataset, loader(labels=[5], pipeline=TRAIN).dataset]
    joined = DataLoader(ConcatDataset(parts))
    for check in (check_test, lambda val: check_train(val=val)):
        with pytest.raises(ValueError) as error:
            check(joined)
        for text in ('label 5', 'SampleInstances and Flip'):
            assert text in str(error.value)
    check_test(DataLoader(ConcatDataset([loader().dataset] * 2)))


def test_clips_that_are_counted_repeatedly_are_refused():
    data = RepeatDataset(loader().dataset, 3)
    joined = utils.data.ConcatDataset([data, loader().dataset])
    for shown in (data, joined):
        with pytest.raises(ValueError, match='clips, but there are'):
            check_train(val=DataLoader(shown))
    check_train(
        DataLoader(RepeatDataset(loader(pipeline=TRAIN).dataset, 3)),
        val=loader(),
    )


def test_samplers_of_batches_are_looked_at():
    data = loader().dataset
    for inner, last, text in (
        (SequentialSampler(data), True, 'drop_last=True'),
        (DefaultSampler(data, shuffle=True), False, 'shuffles'),
        (WeightedRandomSampler([1, 1, 1], 3), False, 'shuffles'),
    ):
        batches = BatchSampler(inner, 2, drop_last=last)
        with pytest.raises(ValueError, match=text):
            check_test(DataLoader(data, batch_sampler=batches))
    whole = BatchSampler(SequentialSampler(data), 2, drop_last=False)
    check_test(DataLoader(data, batch_sampler=whole))


class Unnamed(BaseDataset):
    """Labels without classes, as stock data sets have them."""

    def __init__(self, *labels):
        self.labels = labels
        super().__init__()

    def load_data_list(self):
        return [dict(filename='a.mp4', label=label) for label in self.labels]


def test_labels_are_held_against_the_head_where_classes_have_no_names():
    for label in (3, 9, -2):
        with pytest.raises(ValueError, match="none of the head's 3 classes"):
            check_test(DataLoader(Unnamed(0, label)))
    check_test(DataLoader(Unnamed(0, 2, np.int64(1))))
    check_test(DataLoader(Unnamed(-1, -1)))  # no labels
    check_test(DataLoader(Unnamed([0, 9], [1])))  # several each
    headless = SimpleNamespace(
        model=nn.Linear(1, 1), test_dataloader=DataLoader(Unnamed(9))
    )
    ConsistencyHook().before_test(headless)


SETTINGS = dict(
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='Clips', pipeline=TEST),
)
DRAWING = dict(type='Clips', pipeline=TRAIN)


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (dict(drop_last=True), 'drop_last=True'),
        (dict(batch_sampler=dict(drop_last=True)), 'drop_last=True'),
        (dict(sampler=dict(type='DefaultSampler')), 'shuffles'),
        (dict(sampler=dict(type=DefaultSampler)), 'shuffles'),
        (dict(dataset=DRAWING), 'SampleInstances and Flip'),
        (
            dict(dataset=dict(datasets=[dict(dataset=DRAWING)])),
            'SampleInstances and Flip',
        ),
    ],
)
def test_the_test_is_looked_at_before_a_training(change, text):
    check_train(test=SETTINGS)
    with pytest.raises(ValueError, match=f'test_dataloader.*{text}'):
        check_train(test={**SETTINGS, **change})
