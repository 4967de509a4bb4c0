_base_ = './bags.py'
from micacl_mm.options import option

num_classes = 7
data_root = option('data_root', 'data/CAER')

clips = dict(type='CAERDataset', data_root=data_root)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
