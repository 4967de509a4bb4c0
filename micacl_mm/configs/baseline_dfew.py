"""The stock comparison on DFEW.

The same clips, backbone, head and schedule without MICACL, that is the mean of
the instances and cross-entropy alone. The neck only folds four instances into
one feature, for which stock has no neck.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.datasets.dfew import *
    from ._base_.default_runtime import *
    from ._base_.models.micacl_r3d18 import *
    from ._base_.schedules.adamw_300e import *

from micacl_mm import PassThroughNeck

# Set, not updated: nothing of the neck in the base is to remain.
model['neck'] = dict(type=PassThroughNeck, num_instances=4)
model.update(cls_head=dict(in_channels=512))
