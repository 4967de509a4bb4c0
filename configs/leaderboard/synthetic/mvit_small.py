_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/mvit_small.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=24,
            num_layers=4,
            num_heads=1,
            downscale_indices=[1, 2],
        ),
        spatial_size=48,
    ),
    cls_head=dict(in_channels=96, dropout_ratio=0.2),
)
