# MMAction2's I3D, a ResNet-50 inflated. Weights trained on Kinetics come by
# --cfg-options load_from=FILE.
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet3d',
        depth=50,
        pretrained=None,
        pretrained2d=False,
        conv1_kernel=(5, 7, 7),
        conv1_stride_t=2,
        pool1_stride_t=2,
        inflate=((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0)),
        zero_init_residual=False,
    ),
    cls_head=dict(
        type='I3DHead',
        num_classes=7,
        in_channels=2048,
        dropout_ratio=0.5,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='BagDataPreprocessor',
        view='clip',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
)
