# CREMA-D with the training clips thinned to DFEW's imbalance, or another.
_base_ = './cremad.py'
from micacl_mm.options import option

clips = dict(
    imbalance=option('imbalance', 18.4), tail_order=option('tail_order')
)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
