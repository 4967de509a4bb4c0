# The reference with classes weighed by 1 / videos.
_base_ = './r3d18_mil.py'
model = dict(
    cls_head=dict(
        loss_cls=dict(
            type='LongTailCrossEntropyLoss',
            num_classes=7,
            class_weight='inverse',
        )
    )
)
