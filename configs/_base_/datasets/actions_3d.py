# Videos in MMAction2's own form: a folder videos, and the lists train.txt,
# val.txt and test.txt with a line 'some/path.mp4 label' for each video, labels
# from 0. Where left and right tell classes apart, take Flip out.
_base_ = []
from micacl_mm.options import option

data_root = option('data_root', 'data/actions')
sample = dict(type='SampleFrames', clip_len=4, frame_interval=16, num_clips=1)
train_pipeline = [
    dict(type='DecordInit'),
    sample,
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='DecordInit'),
    dict(**sample, test_mode=True),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

videos = dict(
    type='VideoDataset',
    data_root=data_root,
    data_prefix=dict(video='videos'),
)
tested = dict(**videos, pipeline=test_pipeline, test_mode=True)
loader = dict(batch_size=16, num_workers=8, persistent_workers=True)
in_order = dict(**loader, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    **loader,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**videos, ann_file='train.txt', pipeline=train_pipeline),
)
val_dataloader = dict(**in_order, dataset=dict(**tested, ann_file='val.txt'))
test_dataloader = dict(**in_order, dataset=dict(**tested, ann_file='test.txt'))
