"""Chapter 2: the reference of tensor operations."""
