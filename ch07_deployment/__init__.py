"""Chapter 7: putting a trained model to work."""
