# The reference with all classes drawn equally often.
_base_ = './r3d18_mil.py'
train_dataloader = dict(
    sampler=dict(_delete_=True, type='ClassBalancedSampler', power=1.0)
)
