"""The stand-in for image data sets: scikit-learn's handwritten digits.

1,797 real images of 8 x 8 pixels from the UCI repository, inside the package. Can be
copied alone to another project.
"""

import numpy as np
import torch
from torch.nn import functional as F

CLASSES = [str(digit) for digit in range(10)]
TRAINING = 1437  # of 1,797; the other 360 are the test set


def digits(size: int, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, size, size) uint8, 0 for paper to 255 for ink, and labels (N,) int64.

    The split is the same each time; N is 1,437 or 360.
    """
    from sklearn.datasets import load_digits  # slow to import: only where it is needed

    images, labels = load_digits().images, load_digits().target  # (1797, 8, 8), 0..16
    order = np.random.RandomState(0).permutation(len(labels))
    part = order[:TRAINING] if train else order[TRAINING:]
    small = torch.from_numpy(images[part])[:, None]
    large = F.interpolate(small, size=(size, size), mode="bilinear")[:, 0]
    pixels = (large * (255 / 16)).round().to(torch.uint8)
    return pixels.numpy(), labels[part].astype(np.int64)
