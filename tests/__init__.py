"""The tests of the helpers, of the notebooks and of the repository itself."""
