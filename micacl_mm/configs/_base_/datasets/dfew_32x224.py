"""DFEW at 224 px, 4 instances of 8 frames: about the 32x2 of Video Swin."""

from mmengine.config import read_base

with read_base():
    from .dfew import *

size = (224, 224)
changes = dict(
    SampleInstances=dict(num_frames=32, instance_len=8),
    Resize=dict(scale=size),
)

for pipeline in (train_pipeline, test_pipeline):
    for step in pipeline:
        if 'instance_len' in step:
            step.update(changes['SampleInstances'])
        elif 'scale' in step:
            step.update(changes['Resize'])
del pipeline, step  # no settings

train_dataloader.update(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader.update(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader.update(batch_size=16, dataset=dict(pipeline=test_pipeline))
