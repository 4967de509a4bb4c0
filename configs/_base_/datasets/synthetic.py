# Drawn faces in DFEW's layout at 48 px, see docs/benchmark.md.
_base_ = './bags.py'
from micacl_mm.options import option

data_root = option('data_root', 'data/benchmark/medium')
fold = option('fold', 1)

changes = dict(
    # The stock transforms, with which the committed rows were trained.
    FaceFrameDecode=dict(type='RawFrameDecode'),
    RandomResizedCrop=dict(
        area_range=(0.85, 1.0), aspect_ratio_range=(0.9, 1.1)
    ),
    Resize=dict(scale=(48, 48)),
)
train_pipeline, test_pipeline = (
    [
        {**step, **changes.get(step['type'], {})}
        for step in pipeline
        if step['type'] != 'ClipColorJitter'
    ]
    for pipeline in (_base_.train_pipeline, _base_.test_pipeline)
)
clips = dict(type='DFEWDataset', data_root=data_root, fold=fold)
if _base_.pack != 'none':
    clips['pack'] = None  # which the stock transforms do not read
train_dataloader = dict(
    batch_size=64, num_workers=2, dataset=dict(clips, pipeline=train_pipeline)
)
val_dataloader = dict(
    num_workers=2, dataset=dict(clips, pipeline=test_pipeline)
)
test_dataloader = dict(
    num_workers=2, dataset=dict(clips, pipeline=test_pipeline)
)
