# The reference with MCCL beside cross-entropy.
_base_ = './r3d18_mil.py'
model = dict(
    neck=dict(
        aux_loss=dict(
            type='MCCLLoss',
            num_classes={{_base_.num_classes}},
            in_channels={{_base_.width}},
        )
    )
)
