import torch
from mmaction.structures import ActionDataSample


def samples(labels):
    return [ActionDataSample().set_gt_label(int(label)) for label in labels]


def predict(model, inputs):
    """Scores (N, K) of a recognizer in eval mode."""
    model.eval()
    with torch.no_grad():
        found = model(inputs, samples([0] * len(inputs)), mode='predict')
    return torch.stack([sample.pred_score for sample in found])
