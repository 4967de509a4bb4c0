# The reference with classes weighed by 1 / videos, on hard labels: smoothing
# would be weighed too.
_base_ = './r3d18_mil.py'
loss = dict(_base_.hard_loss, class_weight='inverse')
model = dict(cls_head=dict(label_smooth_eps=0.0, loss_cls=loss))
del loss
