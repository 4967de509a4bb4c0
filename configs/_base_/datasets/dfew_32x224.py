# DFEW at 224 px, 4 instances of 8 frames: about the 32x2 of Video Swin.
_base_ = './dfew.py'

size = (224, 224)
changes = dict(
    SampleInstances=dict(num_frames=32, instance_len=8),
    Resize=dict(scale=size),
)


def changed(pipeline):
    return [{**step, **changes.get(step['type'], {})} for step in pipeline]


train_pipeline = changed(_base_.train_pipeline)
test_pipeline = changed(_base_.test_pipeline)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
