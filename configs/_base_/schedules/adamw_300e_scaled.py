# The rate fits itself to the batch, so that no method runs with another one.
_base_ = './adamw_300e.py'
auto_scale_lr = dict(enable=True)
