"""DFEW at 224 px, for models whose weights come from pictures of that size.

16 frames of a clip of median length, 70, are about as far apart as the 16x4
on which MViT-S and VideoMAE were trained.
"""

from mmengine.config import read_base

with read_base():
    from .dfew import *

size = (224, 224)
changes = dict(Resize=dict(scale=size))

for pipeline in (train_pipeline, test_pipeline):
    for step in pipeline:
        if 'scale' in step:
            step.update(changes['Resize'])
del pipeline, step  # no settings

train_dataloader.update(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader.update(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader.update(batch_size=16, dataset=dict(pipeline=test_pipeline))
