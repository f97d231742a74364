"""LeNet-5 for small colour images, in the form that is used today.

After LeCun et al., "Gradient-based learning applied to document recognition" (1998).
There the input was grey, the activation a scaled tanh and the pooling a trained
average; here they are RGB, ReLU and the maximum.
"""

import torch
from torch import Tensor, nn

SIZE = 32  # height and width of the input; fc1 fixes it


class LeNet5(nn.Module):
    """(N, in_channels, 32, 32) images -> (N, num_classes) logits.

    With the defaults it has 62,006 parameters. The logits go to `nn.CrossEntropyLoss`
    as they are. `forward` raises `ValueError` for images of another shape.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        if num_classes < 1 or in_channels < 1:
            raise ValueError(
                f"needs at least one class and one channel, "
                f"not num_classes={num_classes}, in_channels={in_channels}"
            )
        self.conv1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        wanted = (self.conv1.in_channels, SIZE, SIZE)
        if x.ndim != 4 or tuple(x.shape[1:]) != wanted:
            raise ValueError(
                f"LeNet5 takes batches of shape (N, {', '.join(map(str, wanted))}), "
                f"not {tuple(x.shape)}. Resize the images with "
                f"torchvision.transforms.v2.Resize(({SIZE}, {SIZE})); "
                f"give a single image its batch dimension with image.unsqueeze(0)."
            )
        x = self.pool(torch.relu(self.conv1(x)))  # (N, 6, 14, 14)
        x = self.pool(torch.relu(self.conv2(x)))  # (N, 16, 5, 5)
        x = x.flatten(1)  # (N, 400)
        x = torch.relu(self.fc1(x))  # (N, 120)
        x = torch.relu(self.fc2(x))  # (N, 84)
        return self.fc3(x)  # (N, num_classes)
