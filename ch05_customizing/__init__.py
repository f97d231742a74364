"""Chapter 5: layers, losses, optimizers and loops of one's own."""
