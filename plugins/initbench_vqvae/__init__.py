"""Slices from vector-quantised autoencoders, with a PixelCNN prior over codes and without one.

`model` is the autoencoder, `prior` the gated PixelCNN, `sampling` draws codes from it for all
layers at once (with `halved`, the prior rewritten for that, `streams`, what it keeps from one
position to the next, and `head`, which chooses codes at the end), `initialiser` puts them together.
"""
