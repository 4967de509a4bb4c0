# Both necks and MCCL beside cross-entropy with label smoothing, without logit
# adjustment: what was called MICACL here before micacl_reference.py.
_base_ = './geiim_wian.py'
width = _base_.width
model = dict(
    neck=dict(
        aux_loss=dict(
            type='MCCLLoss',
            num_classes={{_base_.num_classes}},
            in_channels=2 * width,
        )
    )
)
