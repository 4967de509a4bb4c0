# MICACL plus: both necks, logit adjustment and MCCL.
_base_ = ['../_base_/leaderboard.py', '../_base_/models/micacl_plus_r3d18.py']
width, num_classes = _base_.width, _base_.num_classes
geiim, wian = _base_.model.neck.necks
model = dict(
    backbone={{_base_.r3d18}},
    neck=dict(
        necks=[
            dict(geiim, in_channels=width),
            dict(wian, in_channels=width, out_channels=2 * width),
        ],
        aux_loss=dict(num_classes=num_classes, in_channels=2 * width),
    ),
    cls_head=dict(
        num_classes=num_classes,
        in_channels=2 * width,
        dropout_ratio={{_base_.dropout_ratio}},
        loss_cls=dict(num_classes=num_classes),
    ),
)
del geiim, wian
