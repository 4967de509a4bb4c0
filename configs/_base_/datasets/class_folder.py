# Clips in a folder for each class, see docs/own_data.md. Each setting is an
# option of tools/train.py and tools/test.py, or set in the environment.
#
# An import would make this a pure-Python config for MMEngine, and values in
# '{{$MICACL_...}}' may have no backslash and no quote.
environ = __import__('os').environ

data_root = environ.get('MICACL_DATA_ROOT') or 'data/own'
source = environ.get('MICACL_SOURCE') or 'auto'  # videos, frames
classes = environ.get('MICACL_CLASSES') or 'auto'  # or 'sad,happy'
val_ratio = float(environ.get('MICACL_VAL_RATIO') or 0.1)
test_ratio = float(environ.get('MICACL_TEST_RATIO') or 0.2)
group_pattern = environ.get('MICACL_GROUP_PATTERN') or None
missing = environ.get('MICACL_MISSING') or 'raise'  # empty clips: or drop
pack = environ.get('MICACL_PACK') or 'none'  # a file of packed frames
del environ  # no setting, and not to be copied with the config

# From here on as they were found, also in the copy that a run stores.
classes, source = (
    __import__('importlib')
    .import_module('micacl_mm.datasets.class_clips')
    .find_classes(data_root, classes, source)
)
# Without the folder, for a look at the config: that of the base of the model.
num_classes = len(classes) or 7

open_clip = [dict(type='FastVideoInit')] if source == 'videos' else []
decode = dict(type='DecordDecode' if source == 'videos' else 'FaceFrameDecode')
size = (112, 112)

train_pipeline = [
    *open_clip,
    dict(type='SampleInstances', num_frames=16, instance_len=4),
    decode,
    dict(type='RandomResizedCrop', area_range=(0.5, 1.0)),
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
    type='ClassFolderDataset',
    data_root=data_root,
    classes=classes or None,
    source=source,
    val_ratio=val_ratio,
    test_ratio=test_ratio,
    group_pattern=group_pattern,
    missing=missing,
    **({} if pack == 'none' else dict(pack=pack)),
)
loader = dict(batch_size=16, num_workers=4, persistent_workers=True)
train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**split, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **split,
        split='val' if val_ratio else 'test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **split, split='test', pipeline=test_pipeline, test_mode=True
    ),
)
