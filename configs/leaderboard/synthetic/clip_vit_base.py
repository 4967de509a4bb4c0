_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/clip_vit_base.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(
        backbone=dict(
            arch=dict(
                _delete_=True,
                embed_dims=96,
                num_layers=4,
                num_heads=4,
                feedforward_channels=384,
            ),
            img_size=48,
            patch_size=12,
        )
    ),
    cls_head=dict(in_channels=96, dropout_ratio=0.2),
)
