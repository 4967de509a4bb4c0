# Like M3DFEL: BiLSTM, self-attention, DMIN and convolution over the instances,
# all alike, without graph or contrast. The plain chain (residual='none'), as
# M3DFEL has no way around it.
_base_ = './r3d18_mil.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='WIAN',
        num_instances=4,
        in_channels=512,
        out_channels=1024,
        weight_source='uniform',
        residual='none',
    ),
    cls_head=dict(in_channels=1024),
)
