# Where the set lies, which fold, and what to choose checkpoints on. Each
# is an option of tools/train.py and tools/test.py, or set in the environment.
data_root = '{{$MICACL_DATA_ROOT:data/DFEW}}'
fold = {{'$MICACL_FOLD:1'}}  # 1 to 5
source = '{{$MICACL_SOURCE:frames}}'  # face frames, or videos
# Share of the training clips kept apart for choosing the checkpoint. 0 is the
# habit of the field: train on all of them and choose on the test fold.
val_ratio = {{'$MICACL_VAL_RATIO:0.1'}}
missing = '{{$MICACL_MISSING:raise}}'  # absent clips: raise, or drop them
clip_root = '{{$MICACL_CLIP_ROOT:auto}}'  # a folder, instead of a search
pack = '{{$MICACL_PACK:none}}'  # a file of packed frames, docs/packs.md

open_clip = [dict(type='FastVideoInit')] if source == 'videos' else []
decode = dict(type='DecordDecode' if source == 'videos' else 'FaceFrameDecode')
size = (112, 112)

train_pipeline = [
    *open_clip,
    dict(type='SampleInstances', num_frames=16, instance_len=4),
    decode,
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0)),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(
        type='ClipColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0,
    ),
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
    **({} if pack == 'none' else dict(pack=pack)),
)
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**split, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
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
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **split, split='test', pipeline=test_pipeline, test_mode=True
    ),
)
