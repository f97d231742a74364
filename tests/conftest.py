"""Tests draw without a window.

Said to matplotlib and not through MPLBACKEND, which the kernels of the notebooks would
inherit: they need the inline backend.
"""

import matplotlib

matplotlib.use("agg")
