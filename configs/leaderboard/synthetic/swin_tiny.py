_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/swin_tiny.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=24,
            depths=[1, 1, 2, 1],
            num_heads=[1, 2, 4, 8],
        )
    ),
    cls_head=dict(in_channels=192, dropout_ratio=0.2),
)
