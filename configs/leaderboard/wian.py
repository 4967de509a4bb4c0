# The reference with WIAN in place of the mean.
_base_ = './r3d18_mil.py'
width = _base_.width
model = dict(
    neck=dict(
        _delete_=True,
        type='WIAN',
        num_instances=4,
        in_channels=width,
        out_channels=2 * width,
    ),
    cls_head=dict(in_channels=2 * width),
)
