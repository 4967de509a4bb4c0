_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/datasets/ferv39k.py',
    '../../_base_/models/leaderboard/r3d18_mil.py',
    '../../_base_/schedules/adamw_300e_scaled.py',
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='ClassBalancedSampler', power=1.0)
)
departures = {'train_dataloader.sampler.*': 'the method is a sampler'}
