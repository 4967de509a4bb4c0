# Bags of 4 instances of 4 frames, for any set of clips.
_base_ = []
from micacl_mm.options import option

num_classes = 7
source = option('source', 'frames')  # face frames, or videos
# Share of the training clips kept for choosing the checkpoint. 0 is the habit
# of the field: train on all of them and choose on the test split.
val_ratio = option('val_ratio', 0.1)
missing = option('missing', 'raise')  # absent clips: raise, or drop them
clip_root = option('clip_root', 'auto')  # a folder, instead of a search
pack = option('pack', 'none')  # a file of packed frames, docs/data.md

open_clip = [dict(type='FastVideoInit')] if source == 'videos' else []
decode = dict(type='DecordDecode' if source == 'videos' else 'FaceFrameDecode')
resize = dict(type='Resize', scale=(112, 112), keep_ratio=False)

train_pipeline = [
    *open_clip,
    dict(type='SampleInstances', num_frames=16, instance_len=4),
    decode,
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0)),
    resize,
    dict(type='Flip', flip_ratio=0.5),
    dict(
        type='ClipColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.4,
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
    resize,
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

clips = dict(source=source, val_ratio=val_ratio, missing=missing)
clips.update({} if clip_root == 'auto' else dict(clip_root=clip_root))
clips.update({} if pack == 'none' else dict(pack=pack))
loader = dict(batch_size=32, num_workers=8, persistent_workers=True)
in_order = dict(**loader, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    **loader,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**clips, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    **in_order,
    dataset=dict(
        **clips,
        split='val' if val_ratio else 'test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    **in_order,
    dataset=dict(
        **clips, split='test', pipeline=test_pipeline, test_mode=True
    ),
)
