"""Chapter 6: making chapters 3 and 4 faster, measured."""
