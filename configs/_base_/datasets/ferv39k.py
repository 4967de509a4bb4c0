_base_ = './bags.py'
from micacl_mm.options import option

data_root = option('data_root', 'data/FERV39k')
subset = option('subset', 'all')  # all, a scene or one of four scenarios

clips = dict(type='FERV39kDataset', data_root=data_root, subset=subset)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
