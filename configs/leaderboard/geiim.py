# The reference with GEIIM between the instances and their weighted mean.
_base_ = './r3d18_mil.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='GEIIM',
        num_instances=4,
        in_channels={{_base_.width}},
    )
)
