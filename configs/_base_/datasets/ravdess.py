_base_ = './bags.py'
from micacl_mm.options import option

num_classes = 8
data_root = option('data_root', 'data/RAVDESS')
fold = option('fold', 1)  # 1 to 6

clips = dict(type='RAVDESSDataset', data_root=data_root, fold=fold)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
