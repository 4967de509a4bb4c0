_base_ = []
from micacl_mm.options import option

default_scope = 'mmaction'
custom_imports = dict(imports=['micacl_mm'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='SafeCheckpointHook',
        interval=1,
        max_keep_ckpts=1,
        save_best='acc/UAR',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'),
)
custom_hooks = [
    dict(type='ClassCountsHook'),
    dict(type='ResultHook'),
    dict(type='ConsistencyHook'),
    dict(type='NonFiniteLossHook'),
    dict(type='SafeDataHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
track = option('track')  # a second backend, --track
log_processor = dict(
    type='LogProcessor',
    window_size=20,
    by_epoch=True,
    log_with_hierarchy=bool(track),  # train/time is not val/time
)
vis_backends = [dict(type='LocalVisBackend')]
if track:
    vis_backends.append(dict(type=f'{track.capitalize()}VisBackend'))
visualizer = dict(type='ActionVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False

val_evaluator = dict(type='RecallMetric')
test_evaluator = dict(type='RecallMetric')
