# Both necks of MICACL, without MCCL.
_base_ = './r3d18_mil.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='NeckChain',
        num_instances=4,
        necks=[
            dict(type='GEIIM', in_channels=512),
            dict(type='WIAN', in_channels=512, out_channels=1024),
        ],
    ),
    cls_head=dict(in_channels=1024),
)
