"""What a forward pass keeps for the way back."""

import torch


def kept_bytes(evaluate):
    """Bytes of the tensors, each storage once, that `evaluate()` saves for its gradient."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = evaluate()
    assert value.requires_grad
    return sum(storages.values())
