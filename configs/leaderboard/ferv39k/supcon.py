_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/datasets/ferv39k.py',
    '../../_base_/models/leaderboard/supcon.py',
    '../../_base_/schedules/adamw_300e_scaled.py',
]
