_base_ = './bags.py'
from micacl_mm.options import option

num_classes = 6
data_root = option('data_root', 'data/CREMA-D')
fold = option('fold', 1)  # 1 to 5

clips = dict(type='CREMADDataset', data_root=data_root, fold=fold)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
