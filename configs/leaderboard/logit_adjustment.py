# The reference with logit adjustment in the loss, tau of its paper, on the
# hard labels that it is defined for.
_base_ = './r3d18_mil.py'
loss = dict(_base_.hard_loss, logit_adjustment=1.0)
model = dict(cls_head=dict(label_smooth_eps=0.0, loss_cls=loss))
del loss
