# MICACL plus: both necks, logit adjustment and MCCL.
_base_ = ['../_base_/leaderboard.py', '../_base_/models/micacl_plus_r3d18.py']
width = _base_.width
geiim, wian = _base_.model.neck.necks
model = dict(
    backbone={{_base_.r3d18}},
    neck=dict(
        necks=[
            dict(geiim, in_channels=width),
            dict(wian, in_channels=width, out_channels=2 * width),
        ],
        aux_loss=dict(in_channels=2 * width),
    ),
    cls_head=dict(
        in_channels=2 * width, dropout_ratio={{_base_.dropout_ratio}}
    ),
)
del geiim, wian
