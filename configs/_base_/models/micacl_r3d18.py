# MICACL as a co-author's code of June 2025 has it, see docs/method.md.
_base_ = './r3d18.py'
model = dict(
    neck=dict(
        type='NeckChain',
        num_instances=4,
        necks=[
            dict(
                type='GEIIM',
                in_channels=512,
                nodes='channels',
                weight_source='channels',
                zero_init=False,
            ),
            dict(
                type='WIAN',
                in_channels=512,
                out_channels=1024,
                recurrence='gated',
                qkv_only=True,
                unbiased=True,
                residual='none',
            ),
        ],
        aux_loss=dict(
            type='MCCLLoss',
            num_classes=7,
            in_channels=1024,
            form='out',
            include_self=True,
            pooled=True,
            temperature_mode='batch',
            class_weight='raw_inverse',
            focal='attached',
            loss_weight=30.0,
        ),
    ),
    cls_head=dict(in_channels=1024, dropout_ratio=0.0),
    # Divided by 255 and nothing else.
    data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255]),
)
