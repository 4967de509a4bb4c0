# The reference with the focal loss over the softmax, gamma of its paper. That
# of MMPretrain is over one sigmoid a class, so it would change the classifier
# too, and needs an optional library.
_base_ = './r3d18_mil.py'
model = dict(
    cls_head=dict(
        loss_cls=dict(
            type='LongTailCrossEntropyLoss', num_classes=7, gamma=2.0
        )
    )
)
