# The reference with logit adjustment in the loss, tau of its paper.
_base_ = './r3d18_mil.py'
model = dict(
    cls_head=dict(
        loss_cls=dict(
            type='LongTailCrossEntropyLoss',
            num_classes=7,
            logit_adjustment=1.0,
        )
    )
)
