"""Slices from variational autoencoders, one a layer, and controls without any model.

`model` is the autoencoder, `initialiser` the method, `controls` what it is to be compared with.
"""
