# MMAction2's TimeSformer, of 16 frames. Weights trained on Kinetics come by
# --cfg-options load_from=FILE; those for 8 frames have other positions in
# time, which the log then calls a mismatch.
_base_ = '../_base_/leaderboard_224.py'
size = (
    dict(
        img_size=48,
        patch_size=12,
        embed_dims=96,
        num_heads=4,
        num_transformer_layers=4,
    )
    if _base_.small
    else dict(img_size=224, patch_size=16)
)
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='TimeSformer',
        num_frames=16,
        attention_type='divided_space_time',
        **size,
    ),
    cls_head=dict(
        type='TimeSformerHead',
        num_classes={{_base_.num_classes}},
        in_channels=96 if _base_.small else 768,
        label_smooth_eps=0.1,
        average_clips='prob',
        **(dict(dropout_ratio=0.2) if _base_.small else {}),
    ),
    data_preprocessor=dict(
        type='BagDataPreprocessor',
        view='clip',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
    ),
)
