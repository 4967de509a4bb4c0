_base_ = './bags.py'

environ = __import__('os').environ
data_root = environ.get('MICACL_DATA_ROOT') or 'data/DFEW'
fold = int(environ.get('MICACL_FOLD') or 1)  # 1 to 5
del environ

clips = dict(type='DFEWDataset', data_root=data_root, fold=fold)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
