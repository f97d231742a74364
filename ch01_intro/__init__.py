"""Chapter 1: the environment, the device, data and weights, a first prediction."""
