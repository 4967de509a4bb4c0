_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/slowonly.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(base_channels=8),
    cls_head=dict(in_channels=256, dropout_ratio=0.2),
)
