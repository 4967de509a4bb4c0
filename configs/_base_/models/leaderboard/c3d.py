# MMAction2's C3D, with inputs of unit size for random weights. Its weights
# trained on Sports-1M want larger ones: --cfg-options
# model.backbone.pretrained=FILE model.data_preprocessor.std=[1,1,1]
model = dict(
    type='Recognizer3D',
    backbone=dict(type='C3D'),
    cls_head=dict(
        type='I3DHead',
        num_classes=7,
        in_channels=4096,
        spatial_type=None,
        dropout_ratio=0.5,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='BagDataPreprocessor',
        view='clip',
        mean=[104, 117, 128],
        std=[58.395, 57.12, 57.375],
    ),
)
