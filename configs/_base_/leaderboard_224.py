# leaderboard.py for models whose published weights are for 224 px. The drawn
# faces stay at 48 px.
_base_ = './leaderboard.py'

px, batch_size = (48, 64) if _base_.small else (224, 16)
changes = dict(Resize=dict(scale=(px, px)))
train_pipeline, test_pipeline = (
    [{**step, **changes.get(step['type'], {})} for step in pipeline]
    for pipeline in (_base_.train_pipeline, _base_.test_pipeline)
)
train_dataloader = dict(
    batch_size=batch_size, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
