# Both necks and logit adjustment.
_base_ = './micacl_plus.py'
model = dict(neck=dict(aux_loss=None))
