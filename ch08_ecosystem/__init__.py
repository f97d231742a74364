"""Chapter 8: torchvision, text, TensorBoard, the projects around."""
