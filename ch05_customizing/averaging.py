"""An exponential moving average of a model's weights, to test with and to keep.

Imports PyTorch only: can be copied alone.
"""

import copy

import torch
from torch import Tensor, nn


class EMA(nn.Module):
    """Keeps a copy of `model` whose weights follow those of the training, smoothed.

        average = EMA(model, decay=0.99)
        ...
        optimizer.step()
        average.update(model)  # after each step
        evaluate(average, loader)

    Each update does average <- decay * average + (1 - decay) * weights; a weight from
    n steps ago counts decay**n, so about 1 / (1 - decay) steps are in it. It starts as
    the first weights that it is shown, as `torch.optim.swa_utils.AveragedModel` with
    `get_ema_multi_avg_fn(decay)` does, whose result is the same. `averaged_buffers`:
    also average buffers of floating point (batch norm's running mean and variance);
    otherwise they are copied. Whole numbers are always copied.

    The copy gets no gradients and is in eval mode until it is told otherwise. Raises
    `ValueError` for a decay out of [0, 1) and for a model with other weights.
    """

    steps: Tensor

    def __init__(
        self, model: nn.Module, decay: float = 0.99, *, averaged_buffers: bool = False
    ) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay has to be in [0, 1), not {decay}")
        self.decay, self.averaged_buffers = decay, averaged_buffers
        self.module = copy.deepcopy(model).requires_grad_(False).eval()
        self.register_buffer("steps", torch.tensor(0))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights of `model` in."""
        share = 0.0 if self.steps == 0 else self.decay
        theirs = model.state_dict()
        ours = self.module.state_dict(keep_vars=True)  # the tensors, no copies
        if {n: t.shape for n, t in ours.items()} != {
            n: t.shape for n, t in theirs.items()
        }:
            raise ValueError(
                "this model has other weights than the one averaged so far"
            )
        once = {id(t): name for name, t in ours.items()}  # a tied weight has two names
        for name in once.values():
            average = ours[name]
            follows = isinstance(average, nn.Parameter) or self.averaged_buffers
            if follows and (average.is_floating_point() or average.is_complex()):
                average.lerp_(theirs[name], 1 - share)
            else:
                average.copy_(theirs[name])
        self.steps += 1

    def forward(self, *args, **kwargs):
        """What the averaged model answers."""
        return self.module(*args, **kwargs)
