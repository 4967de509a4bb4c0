# MICACL plus without MCCL: both necks and logit adjustment.
_base_ = './geiim_wian.py'
loss = dict(_base_.hard_loss, logit_adjustment=1.0)
model = dict(cls_head=dict(label_smooth_eps=0.0, loss_cls=loss))
del loss
