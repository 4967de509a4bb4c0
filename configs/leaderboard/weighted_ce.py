# The reference with classes weighed by 1 / videos, on hard labels: smoothing
# would be weighed too.
_base_ = './r3d18_mil.py'
model = dict(
    cls_head=dict(
        label_smooth_eps=0.0,
        loss_cls=dict(
            type='LongTailCrossEntropyLoss',
            num_classes={{_base_.num_classes}},
            class_weight='inverse',
        ),
    )
)
