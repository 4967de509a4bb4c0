# The whole MICACL on frames seen by CLIP, whose weights it needs. Run it with
# python tools/train.py configs/mixing/micacl_clip_dfew.py --auto-scale-lr
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dfew_16x224.py',
    '../_base_/models/clip_vit_base.py',
    '../_base_/schedules/adamw_300e.py',
]
geiim = dict(type='GEIIM', in_channels=768)
wian = dict(type='WIAN', in_channels=768)
mccl = dict(type='MCCLLoss', num_classes=7)
model = dict(
    neck=dict(type='NeckChain', necks=[geiim, wian], aux_loss=mccl),
    cls_head=dict(in_channels=1024, num_classes=7),
)
train_cfg = dict(max_epochs=100)
warmup = dict(type='LinearLR', start_factor=0.01, end=5)
cosine = dict(type='CosineAnnealingLR', begin=5, end=100)
param_scheduler = [warmup, cosine]
slower = {'backbone.backbone': dict(lr_mult=0.1)}  # the image model only
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=slower))
