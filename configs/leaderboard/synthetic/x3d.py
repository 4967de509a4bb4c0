_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/x3d.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(gamma_d=1),
    cls_head=dict(dropout_ratio=0.2),
)
