# DFEW at 224 px, for models whose weights come from pictures of that size.
# 16 frames of a clip of median length, 70, are about as far apart as the 16x4
# on which MViT-S and VideoMAE were trained.
_base_ = './dfew.py'

changes = dict(Resize=dict(scale=(224, 224)))
train_pipeline, test_pipeline = (
    [{**step, **changes.get(step['type'], {})} for step in pipeline]
    for pipeline in (_base_.train_pipeline, _base_.test_pipeline)
)
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
