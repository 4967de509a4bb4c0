"""Our parts on stock models, to inherit from anywhere.

In a file of yours, here ``own.py``::

    from mmengine.config import read_base

    with read_base():
        from micacl_mm.configs.mixing.wian_swin_dfew import *

    train_cfg.update(max_epochs=30)

Run it with ``python -m micacl_mm train own.py --auto-scale-lr``.
"""
