# MICACL plus, small, on drawn faces: a CPU trains it in minutes.
_base_ = 'leaderboard/micacl_plus.py'
from micacl_mm.options import option

clips = dict(data_root=option('data_root', 'data/synthetic_dfew'))
train_dataloader = dict(batch_size=16, dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
auto_scale_lr = dict(base_batch_size=16)
custom_hooks = [*_base_.custom_hooks, dict(type='SafeDataHook')]
