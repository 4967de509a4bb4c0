# MICACL as a co-author's code has it, on the data and schedule of the others.
_base_ = ['../_base_/leaderboard.py', '../_base_/models/micacl_r3d18.py']
width = _base_.width
geiim, wian = _base_.model.neck.necks
model = dict(
    backbone={{_base_.r3d18}},
    neck=dict(
        necks=[
            dict(geiim, in_channels=width),
            dict(wian, in_channels=width, out_channels=2 * width),
        ],
        aux_loss=dict(
            num_classes={{_base_.num_classes}}, in_channels=2 * width
        ),
    ),
    cls_head=dict(num_classes={{_base_.num_classes}}, in_channels=2 * width),
)
del geiim, wian
