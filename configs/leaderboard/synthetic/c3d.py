_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/c3d.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(out_dim=2048),
    cls_head=dict(dropout_ratio=0.2),
)
