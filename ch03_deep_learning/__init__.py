"""Chapter 3: data sets, modules, the training loop, checkpoints."""
