"""Hyper-representations: whole networks as vectors, an autoencoder of them, and samples from it.

`tokens` turns networks into vectors, `network` is the autoencoder, `contrast`, `losses` and
`augmentation` are what it is trained with (`training`), `sampling` and `prior` draw latents,
`diagnostics` judges a fit, and `initialiser` puts them together. `bench` measures training.
"""
