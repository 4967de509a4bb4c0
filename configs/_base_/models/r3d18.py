# Layer by layer torchvision's r3d_18. Its Kinetics-400 weights:
# --cfg-options model.backbone.pretrained=k400, or the path of its file.
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='micacl_mm.ResNet3d',
        depth=18,
        pretrained=None,
        pretrained2d=False,
        conv1_kernel=(3, 7, 7),
        with_pool1=False,
        with_pool2=False,
        temporal_strides=(1, 2, 2, 2),
        zero_init_residual=False,
    ),
    cls_head=dict(
        type='I3DHead',
        num_classes=7,
        in_channels=512,
        dropout_ratio=0.5,
        label_smooth_eps=0.1,
        topk=(1,),
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[110.2008, 100.63983, 95.99475],
        std=[58.14765, 56.46975, 55.332],
        format_shape='NCTHW',
    ),
)
