# The reference with SupCon beside cross-entropy, on a projection of 128 as in
# its paper: MCCL of one scale, in SupCon's own form, without class counts. Its
# weight, 0.1, is that of MCCL in the others.
_base_ = './r3d18_mil.py'
model = dict(
    neck=dict(
        aux_loss=dict(
            type='MCCLLoss',
            num_classes={{_base_.num_classes}},
            scales=(1,),
            form='out',
            temperature=0.1,
            temperature_mode='constant',
            class_weight='none',
            in_channels={{_base_.width}},
            projection_channels=128,
            loss_name='loss_supcon',
        )
    )
)
