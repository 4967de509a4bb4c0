"""Drawn faces in DFEW's layout, see docs/synthetic.md.

Each setting at the top is an option of tools/train.py, tools/test.py and
``python -m micacl_mm``, or set in the environment.
"""

from mmaction.datasets.transforms import (
    DecordDecode,
    DecordInit,
    Flip,
    FormatShape,
    PackActionInputs,
    RandomResizedCrop,
    RawFrameDecode,
    Resize,
)
from mmengine.dataset import ClassBalancedDataset, DefaultSampler

from micacl_mm import DFEWDataset, SampleInstances

# MMEngine makes ``import os`` a lazy object, whose environment is of no use.
environ = __import__('os').environ

data_root = environ.get('MICACL_DATA_ROOT') or 'data/synthetic_dfew'
fold = int(environ.get('MICACL_FOLD') or 1)
source = environ.get('MICACL_SOURCE') or 'frames'
val_ratio = float(environ.get('MICACL_VAL_RATIO') or 0.1)
# Absent clips: raise, or drop them.
missing = environ.get('MICACL_MISSING') or 'raise'
# A folder of clips, instead of a search.
clip_root = environ.get('MICACL_CLIP_ROOT') or 'auto'
del environ  # no setting, and not to be copied with the config

open_clip = [dict(type=DecordInit)] if source == 'videos' else []
decode = dict(type=DecordDecode if source == 'videos' else RawFrameDecode)
size = (48, 48)

train_pipeline = [
    *open_clip,
    dict(type=SampleInstances, num_frames=16, instance_len=4),
    decode,
    dict(
        type=RandomResizedCrop,
        area_range=(0.85, 1.0),
        aspect_ratio_range=(0.9, 1.1),
    ),
    dict(type=Resize, scale=size, keep_ratio=False),
    dict(type=Flip, flip_ratio=0.5),
    dict(type=FormatShape, input_format='NCTHW'),
    dict(type=PackActionInputs),
]
test_pipeline = [
    *open_clip,
    dict(type=SampleInstances, num_frames=16, instance_len=4, test_mode=True),
    decode,
    dict(type=Resize, scale=size, keep_ratio=False),
    dict(type=FormatShape, input_format='NCTHW'),
    dict(type=PackActionInputs),
]

split = dict(
    type=DFEWDataset,
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
    sampler=dict(type=DefaultSampler, shuffle=True),
    # Shows a clip the more often the rarer its class is, as 1 / sqrt(clips).
    # Repeats are rounded up, so the threshold is high enough for them to tell
    # the classes apart: one epoch of it is about three of the plain set.
    dataset=dict(
        type=ClassBalancedDataset,
        oversample_thr=1,
        dataset=dict(**split, split='train', pipeline=train_pipeline),
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False),
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
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        **split, split='test', pipeline=test_pipeline, test_mode=True
    ),
)
