_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/tsm.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(depth=18),
    cls_head=dict(in_channels=512, dropout_ratio=0.2),
)
