# FERV39k at 224 px, for models whose weights come from pictures of that size.
_base_ = './ferv39k.py'

size = (224, 224)
changes = dict(Resize=dict(scale=size))


def changed(pipeline):
    return [{**step, **changes.get(step['type'], {})} for step in pipeline]


train_pipeline = changed(_base_.train_pipeline)
test_pipeline = changed(_base_.test_pipeline)
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
