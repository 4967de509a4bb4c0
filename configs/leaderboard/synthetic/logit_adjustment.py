_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/logit_adjustment.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(
        base_channels=16,
        conv1_kernel=(3, 3, 3),
        conv1_stride_t=2,
        with_pool1=True,
    ),
    cls_head=dict(in_channels=128, dropout_ratio=0.2),
)
