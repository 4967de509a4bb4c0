_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/datasets/dfew.py',
    '../../_base_/models/leaderboard/i3d.py',
    '../../_base_/schedules/adamw_300e_scaled.py',
]
