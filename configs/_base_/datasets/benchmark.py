# The open benchmark: drawn faces in DFEW's layout, see docs/benchmark.md. As
# dfew.py, at 48 px and with weaker augmentation.
_base_ = './dfew.py'

data_root = '{{$MICACL_DATA_ROOT:data/benchmark/medium}}'
size = (48, 48)
changes = dict(
    # The stock transforms that the committed rows were trained with.
    FaceFrameDecode=dict(type='RawFrameDecode'),
    FastVideoInit=dict(type='DecordInit'),
    RandomResizedCrop=dict(
        area_range=(0.85, 1.0), aspect_ratio_range=(0.9, 1.1)
    ),
    Resize=dict(scale=size),
)


def changed(pipeline):
    kept = [step for step in pipeline if step['type'] != 'ClipColorJitter']
    return [{**step, **changes.get(step['type'], {})} for step in kept]


train_pipeline = changed(_base_.train_pipeline)
test_pipeline = changed(_base_.test_pipeline)
split = dict(data_root=data_root)
if _base_.pack != 'none':
    split['pack'] = None  # which the stock transforms do not read
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(**split, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=2, dataset=dict(**split, pipeline=test_pipeline)
)
test_dataloader = dict(
    num_workers=2, dataset=dict(**split, pipeline=test_pipeline)
)
