# MMAction2's X3D-M. Weights trained on Kinetics come by
# --cfg-options load_from=FILE.
model = dict(
    type='Recognizer3D',
    backbone=dict(type='X3D', gamma_w=1, gamma_b=2.25, gamma_d=2.2),
    cls_head=dict(
        type='X3DHead',
        num_classes=7,
        in_channels=432,
        dropout_ratio=0.5,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='BagDataPreprocessor',
        view='clip',
        mean=[114.75, 114.75, 114.75],
        std=[57.38, 57.38, 57.38],
    ),
)
