"""AdamW, a warm-up of 5 epochs and a cosine, 50 epochs in all.

For small sets.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from torch.optim import AdamW

train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=50, val_interval=1)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)

param_scheduler = [
    dict(
        type=LinearLR,
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type=CosineAnnealingLR,
        by_epoch=True,
        begin=5,
        end=50,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',  # a name: --amp of MMAction2's tool refuses a class
    optimizer=dict(type=AdamW, lr=1e-4, weight_decay=0.05),
)
# The rate is for one process of 16 videos; --auto-scale-lr fits it to yours.
auto_scale_lr = dict(enable=False, base_batch_size=16)
