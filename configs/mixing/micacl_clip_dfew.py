# MICACL plus on frames seen by CLIP, whose weights it needs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dfew_16x224.py',
    '../_base_/models/clip_vit_base.py',
    '../_base_/schedules/adamw_100e.py',
]
geiim = dict(type='GEIIM', in_channels=768)
wian = dict(type='WIAN', in_channels=768)
mccl = dict(type='MCCLLoss', num_classes=7)
adjusted = dict(type='LongTailCrossEntropyLoss', logit_adjustment=1.0)
model = dict(
    neck=dict(type='NeckChain', necks=[geiim, wian], aux_loss=mccl),
    cls_head=dict(
        in_channels=1024,
        num_classes=7,
        loss_cls=dict(adjusted, num_classes=7),
    ),
)
slower = {'backbone.backbone': dict(lr_mult=0.1)}  # the image model only
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=slower))
