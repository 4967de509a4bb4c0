"""Videos in MMAction2's own form.

A folder videos, and the lists train.txt, val.txt and test.txt with a line
'some/path.mp4 label' for each video, labels from 0. Where left and right tell
classes apart, take Flip out. The folder is the option ``--data-root`` of
``python -m micacl_mm``, or set in the environment.
"""

from mmaction.datasets import VideoDataset
from mmaction.datasets.transforms import (
    CenterCrop,
    DecordDecode,
    DecordInit,
    Flip,
    FormatShape,
    PackActionInputs,
    RandomResizedCrop,
    Resize,
    SampleFrames,
)
from mmengine.dataset import DefaultSampler

# MMEngine makes ``import os`` a lazy object, whose environment is of no use.
environ = __import__('os').environ

data_root = environ.get('MICACL_DATA_ROOT') or 'data/actions'
del environ  # no setting, and not to be copied with the config

train_pipeline = [
    dict(type=DecordInit),
    dict(type=SampleFrames, clip_len=4, frame_interval=16, num_clips=1),
    dict(type=DecordDecode),
    dict(type=Resize, scale=(-1, 256)),
    dict(type=RandomResizedCrop),
    dict(type=Resize, scale=(224, 224), keep_ratio=False),
    dict(type=Flip, flip_ratio=0.5),
    dict(type=FormatShape, input_format='NCTHW'),
    dict(type=PackActionInputs),
]
test_pipeline = [
    dict(type=DecordInit),
    dict(
        type=SampleFrames,
        clip_len=4,
        frame_interval=16,
        num_clips=1,
        test_mode=True,
    ),
    dict(type=DecordDecode),
    dict(type=Resize, scale=(-1, 256)),
    dict(type=CenterCrop, crop_size=224),
    dict(type=FormatShape, input_format='NCTHW'),
    dict(type=PackActionInputs),
]

videos = dict(
    type=VideoDataset,
    data_root=data_root,
    data_prefix=dict(video='videos'),
)
loader = dict(batch_size=16, num_workers=8, persistent_workers=True)
train_dataloader = dict(
    **loader,
    drop_last=True,
    sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(**videos, ann_file='train.txt', pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        **videos, ann_file='val.txt', pipeline=test_pipeline, test_mode=True
    ),
)
test_dataloader = dict(
    **loader,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        **videos, ann_file='test.txt', pipeline=test_pipeline, test_mode=True
    ),
)
