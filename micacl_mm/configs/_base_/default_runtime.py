"""Hooks, logging and metrics."""

from mmaction.visualization import ActionVisualizer, LocalVisBackend
from mmengine.hooks import (
    DistSamplerSeedHook,
    IterTimerHook,
    LoggerHook,
    ParamSchedulerHook,
    RuntimeInfoHook,
    SyncBuffersHook,
)
from mmengine.runner import LogProcessor

from micacl_mm import (
    ClassCountsHook,
    ConsistencyHook,
    NonFiniteLossHook,
    RecallMetric,
    ResultHook,
    SafeCheckpointHook,
    SafeDataHook,
)

default_scope = 'mmaction'
# Of no use here, but MMEngine dumps every config as text, where it is.
custom_imports = dict(imports=['micacl_mm'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type=RuntimeInfoHook),
    timer=dict(type=IterTimerHook),
    logger=dict(type=LoggerHook, interval=20, ignore_last=False),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(
        type=SafeCheckpointHook,
        interval=1,
        max_keep_ckpts=1,
        save_best='acc/UAR',
        rule='greater',
    ),
    sampler_seed=dict(type=DistSamplerSeedHook),
    sync_buffers=dict(type=SyncBuffersHook),
)
custom_hooks = [
    dict(type=ClassCountsHook),
    dict(type=ResultHook),
    dict(type=ConsistencyHook),
    dict(type=NonFiniteLossHook),
    dict(type=SafeDataHook),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_processor = dict(type=LogProcessor, window_size=20, by_epoch=True)
vis_backends = [dict(type=LocalVisBackend)]
visualizer = dict(type=ActionVisualizer, vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False

val_evaluator = dict(type=RecallMetric)
test_evaluator = dict(type=RecallMetric)
