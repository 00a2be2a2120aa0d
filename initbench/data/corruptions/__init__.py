"""Common corruptions of 32 x 32 images, as in CIFAR-10-C: one module a family."""
