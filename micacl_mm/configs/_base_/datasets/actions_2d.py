"""The videos of actions_3d.py for 2-D recognizers: 8 frames of each."""

from mmengine.config import read_base

with read_base():
    from .actions_3d import *

changes = dict(
    SampleFrames=dict(clip_len=1, frame_interval=1, num_clips=8),
    FormatShape=dict(input_format='NCHW'),
)

for pipeline in (train_pipeline, test_pipeline):
    for step in pipeline:
        if 'clip_len' in step:
            step.update(changes['SampleFrames'])
        elif 'input_format' in step:
            step.update(changes['FormatShape'])
del pipeline, step  # no settings

train_dataloader.update(dataset=dict(pipeline=train_pipeline))
val_dataloader.update(dataset=dict(pipeline=test_pipeline))
test_dataloader.update(dataset=dict(pipeline=test_pipeline))
