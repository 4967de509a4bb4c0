# Both necks of MICACL plus, with cross-entropy alone.
_base_ = './r3d18_mil.py'
width = _base_.width
model = dict(
    neck=dict(
        _delete_=True,
        type='NeckChain',
        num_instances=4,
        necks=[
            dict(type='GEIIM', in_channels=width),
            dict(type='WIAN', in_channels=width, out_channels=2 * width),
        ],
    ),
    cls_head=dict(in_channels=2 * width),
)
