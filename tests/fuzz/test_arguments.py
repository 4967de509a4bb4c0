"""Constructor arguments of every class that a config can name."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import DATA_SAMPLERS

import micacl_mm
from micacl_mm import registry
from micacl_mm.datasets.samplers import labels as _  # noqa: F401  all of them

from .profile import fuzzed

REGISTRIES = [
    *(getattr(registry, name) for name in registry.__all__),
    DATA_SAMPLERS,
]


class Labelled(torch.utils.data.Dataset):
    """Enough of a data set for samplers."""

    metainfo = {'classes': ('a', 'b')}
    class_counts = [4, 2]

    def __len__(self):
        return 6

    def get_cat_ids(self, index):
        return [index % 3 % 2]


#: What must be given that there is an object at all.
NEEDED = {
    'BagDataPreprocessor': dict(view='clip'),
    'ClassAwareBatchSampler': dict(
        sampler=torch.utils.data.SequentialSampler(Labelled()), batch_size=2
    ),
    'ClassBalancedSampler': dict(dataset=Labelled()),
    'FrameBackbone': dict(
        backbone=dict(type=torch.nn.Flatten), feature_shape='NCHW'
    ),
    'GradientCachingHook': dict(micro_batch_size=1),
    'LongTailCrossEntropyLoss': dict(num_classes=2),
    'MCCLLoss': dict(num_classes=2),
    'NeckChain': dict(necks=[dict(type=micacl_mm.GEIIM, in_channels=4)]),
}
#: Without type checks as yet: tried as soon as they have them.
LATE = {
    'ClipColorJitter',
    'FaceFrameDecode',
    'GradientCachingHook',
    'LongTailCrossEntropyLoss',
    'MCCLLoss',
    'RecallMetric',
    'SafeDataHook',
}
#: Not built here: they open files, which other tests fuzz.
APART = {'DFERInferencer', 'DFEWDataset', 'FERV39kDataset'}
APART |= {'ClassFolderDataset', 'CropFaces', 'CenterFaceDetector'}


def registered():
    found = {}
    for each in REGISTRIES:
        for name, cls in each.module_dict.items():
            if getattr(cls, '__module__', '').startswith('micacl_mm'):
                found[name] = cls
    return {
        name: cls
        for name, cls in sorted(found.items())
        if name not in APART
        and (name not in LATE or hasattr(cls.__init__, '__wrapped__'))
    }


PLAIN = [
    *(None, True, False, -1, 0, 1, 2, 3, 7, -(10**30), 10**30),
    *(0.0, 0.5, -0.5, 1.0, 1e300, math.nan, math.inf, -math.inf, 1j),
    *('', 'x', '3', 'none', 'mean', 'log', 'test', b'x'),
    *(np.int64(3), np.float32(0.5), np.bool_(True), np.zeros(2)),
    *(object, len, Ellipsis, torch.float32, torch.zeros(2)),
]
VALUES = st.one_of(
    st.sampled_from(PLAIN),
    st.lists(st.sampled_from(PLAIN), max_size=3),
    st.lists(st.sampled_from(PLAIN), max_size=3).map(tuple),
    st.dictionaries(st.sampled_from(['a', 'b', 3]), st.sampled_from(PLAIN)),
    st.text(max_size=4),
)


@pytest.mark.parametrize(
    ('name', 'given'),
    [
        ('FrameBackbone', dict(frozen=3)),
        ('GEIIM', dict(num_instances=10**30)),
        ('GEIIM', dict(in_channels='512')),
        ('GEIIM', dict(kernel_sizes=[])),
        ('GEIIM', dict(alpha=math.nan)),
        ('WIAN', dict(num_heads=0)),
        ('WIAN', dict(num_layers=-1)),
        ('NeckChain', dict(necks=[{}])),
        ('NeckChain', dict(necks=[3])),
        ('PassThroughNeck', dict(aux_loss={'a': 1})),
        ('BagDataPreprocessor', dict(num_instances='4')),
        ('HaarFaceDetector', dict(scale_factor=[1.1])),
    ],
)
def test_faults_that_were_found(name, given):
    cls = registered()[name]
    with pytest.raises(
        (ValueError, TypeError), match=f'^{name}: {[*given][0]}'
    ):
        cls(**{**NEEDED.get(name, {}), **given})


def test_numbers_of_numpy_are_numbers():
    wian = registered()['WIAN'](
        np.int64(4), np.int64(8), num_heads=np.int64(2)
    )
    assert wian(torch.zeros(4, 4))[0].shape == (1, 8, 1, 1, 1)


@pytest.mark.parametrize(('name', 'cls'), registered().items())
def test_arguments(name, cls):
    # Whoever takes **kwargs hands them to a class with names of its own.
    names = [
        parameter.name
        for base in cls.__mro__
        if base.__module__.startswith('micacl_mm')
        for parameter in inspect.signature(base.__init__).parameters.values()
        if parameter.kind
        not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name not in ('self', 'init_cfg', 'cls')
    ]
    # A keyword that nobody knows is refused by the last of them.
    known = {base.__name__ for base in cls.__mro__[:-1]}

    @given(
        st.dictionaries(st.sampled_from([*names, 'typo']), VALUES, max_size=3)
    )
    @fuzzed(40)
    def arguments(given):
        try:
            cls(**{**NEEDED.get(name, {}), **given})
        except (ValueError, TypeError) as error:
            assert type(error) in (ValueError, TypeError)
            assert any(base in str(error) for base in known), error

    cls(**NEEDED.get(name, {}))
    arguments()
