# M3DFEL as its public code has it: BiLSTM, self-attention, DMIN and
# convolution over the instances, no way around them, no dropout, pixels
# divided by 255. Frames at test time are not drawn at random.
_base_ = './r3d18_mil.py'
width = _base_.width
model = dict(
    neck=dict(
        _delete_=True,
        type='WIAN',
        num_instances=4,
        in_channels=width,
        out_channels=2 * width,
        qkv_only=True,
        unbiased=True,
        weight_source='uniform',
        residual='none',
    ),
    cls_head=dict(in_channels=2 * width, dropout_ratio=0.0),
    data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255]),
)
