# Clips in a folder for each class, see docs/own_data.md.
_base_ = './bags.py'
from micacl_mm.datasets.class_folder_dataset import find_classes
from micacl_mm.options import option

data_root = option('data_root', 'data/own')
test_ratio = option('test_ratio', 0.2)
# As they are found, also in the copy that a run stores. Without the folder,
# for a look at the config, there are seven classes.
classes, source = find_classes(
    data_root, option('classes', 'auto'), option('source', 'auto')
)
num_classes = len(classes) or 7

open_clip = [dict(type='FastVideoInit')] if source == 'videos' else []
decode = dict(type='DecordDecode' if source == 'videos' else 'FaceFrameDecode')
changes = dict(
    DecordDecode=decode,
    FaceFrameDecode=decode,
    RandomResizedCrop=dict(area_range=(0.5, 1.0)),
    ClipColorJitter=dict(hue=0),
)
train_pipeline, test_pipeline = (
    [
        *open_clip,
        *[
            {**step, **changes.get(step['type'], {})}
            for step in pipeline
            if step['type'] != 'FastVideoInit'
        ],
    ]
    for pipeline in (_base_.train_pipeline, _base_.test_pipeline)
)

clips = dict(
    type='ClassFolderDataset',
    data_root=data_root,
    classes=classes or None,
    source=source,
    test_ratio=test_ratio,
    group_pattern=option('group_pattern'),
)
loader = dict(batch_size=16, num_workers=4)
train_dataloader = dict(
    **loader, drop_last=False, dataset=dict(clips, pipeline=train_pipeline)
)
val_dataloader = dict(**loader, dataset=dict(clips, pipeline=test_pipeline))
test_dataloader = dict(**loader, dataset=dict(clips, pipeline=test_pipeline))
