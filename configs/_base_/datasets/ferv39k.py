_base_ = './bags.py'

environ = __import__('os').environ
data_root = environ.get('MICACL_DATA_ROOT') or 'data/FERV39k'
# all, a scene, or one of the four scenarios
subset = environ.get('MICACL_SUBSET') or 'all'
del environ

clips = dict(type='FERV39kDataset', data_root=data_root, subset=subset)
train_dataloader = dict(dataset=clips)
val_dataloader = dict(dataset=clips)
test_dataloader = dict(dataset=clips)
