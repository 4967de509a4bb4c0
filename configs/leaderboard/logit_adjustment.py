# The reference with logit adjustment in the loss, tau of its paper, on the
# hard labels that it is defined for.
_base_ = './r3d18_mil.py'
model = dict(
    cls_head=dict(
        label_smooth_eps=0.0,
        loss_cls=dict(
            type='LongTailCrossEntropyLoss',
            num_classes={{_base_.num_classes}},
            logit_adjustment=1.0,
        ),
    )
)
