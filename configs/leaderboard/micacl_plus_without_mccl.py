# MICACL plus without MCCL: both necks and logit adjustment.
_base_ = './geiim_wian.py'
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
