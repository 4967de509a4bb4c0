# The reference with the focal loss over the softmax, gamma of its paper, on
# the hard labels it is defined for. That of MMPretrain is over one sigmoid a
# class, so it would change the classifier too.
_base_ = './r3d18_mil.py'
loss = dict(_base_.hard_loss, gamma=2.0)
model = dict(cls_head=dict(label_smooth_eps=0.0, loss_cls=loss))
del loss
