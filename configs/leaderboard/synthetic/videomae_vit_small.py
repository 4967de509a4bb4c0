_base_ = [
    '../../_base_/benchmark_runtime.py',
    '../../_base_/datasets/benchmark.py',
    '../../_base_/models/leaderboard/videomae_vit_small.py',
    '../../_base_/schedules/benchmark_15e.py',
]
model = dict(
    backbone=dict(
        img_size=48, patch_size=12, embed_dims=96, depth=4, num_heads=4
    ),
    cls_head=dict(in_channels=96, dropout_ratio=0.2),
)
