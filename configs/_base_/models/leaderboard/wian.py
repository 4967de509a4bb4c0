# The reference with WIAN in place of the mean.
_base_ = './r3d18_mil.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='WIAN',
        num_instances=4,
        in_channels=512,
        out_channels=1024,
    ),
    cls_head=dict(in_channels=1024),
)
