# MICACL plus, see docs/method.md: both necks start as mean pooling, and the
# loss of the head knows the class counts.
_base_ = './r3d18.py'
model = dict(
    neck=dict(
        type='NeckChain',
        num_instances=4,
        necks=[
            dict(type='GEIIM', in_channels=512),
            dict(type='WIAN', in_channels=512, out_channels=1024),
        ],
        aux_loss=dict(type='MCCLLoss', num_classes=7, in_channels=1024),
    ),
    cls_head=dict(
        in_channels=1024,
        label_smooth_eps=0.0,
        loss_cls=dict(
            type='LongTailCrossEntropyLoss',
            num_classes=7,
            logit_adjustment=1.0,
        ),
    ),
)
