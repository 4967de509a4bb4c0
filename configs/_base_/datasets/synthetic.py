# Drawn faces in DFEW's layout, see docs/synthetic.md.
data_root = '{{$MICACL_DATA_ROOT:data/synthetic_dfew}}'
fold = {{'$MICACL_FOLD:1'}}
source = '{{$MICACL_SOURCE:frames}}'
val_ratio = {{'$MICACL_VAL_RATIO:0.1'}}
missing = '{{$MICACL_MISSING:raise}}'  # absent clips: raise, or drop them
clip_root = '{{$MICACL_CLIP_ROOT:auto}}'  # a folder, instead of a search

open_clip = [dict(type='DecordInit')] if source == 'videos' else []
decode = dict(type='DecordDecode' if source == 'videos' else 'RawFrameDecode')
size = (48, 48)

train_pipeline = [
    *open_clip,
    dict(type='SampleInstances', num_frames=16, instance_len=4),
    decode,
    dict(
        type='RandomResizedCrop',
        area_range=(0.85, 1.0),
        aspect_ratio_range=(0.9, 1.1),
    ),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    *open_clip,
    dict(
        type='SampleInstances', num_frames=16, instance_len=4, test_mode=True
    ),
    decode,
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

split = dict(
    type='DFEWDataset',
    data_root=data_root,
    fold=fold,
    source=source,
    val_ratio=val_ratio,
    missing=missing,
    clip_root=None if clip_root == 'auto' else clip_root,
)
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # Shows a clip the more often the rarer its class is, as 1 / sqrt(clips).
    # Repeats are rounded up, so the threshold is high enough for them to tell
    # the classes apart: one epoch of it is about three of the plain set.
    dataset=dict(
        type='ClassBalancedDataset',
        oversample_thr=1,
        dataset=dict(**split, split='train', pipeline=train_pipeline),
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **split,
        split='val' if val_ratio else 'test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **split, split='test', pipeline=test_pipeline, test_mode=True
    ),
)
