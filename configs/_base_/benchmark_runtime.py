# The same for small models on a CPU, which train faster in channels-last
# memory.
_base_ = './default_runtime.py'

custom_hooks = [
    dict(type='ClassCountsHook'),
    dict(type='ResultHook'),
    dict(type='ConsistencyHook'),
    dict(type='NonFiniteLossHook'),
    dict(type='ChannelsLastHook'),
]
