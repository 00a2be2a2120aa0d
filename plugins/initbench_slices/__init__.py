"""What the local initialisers share: slices of trained kernels, and models of slices.

A package of its own, because the slice VAE, the VQVAE and the controls differ only in the model of
a slice. From here they have everything else: the zoo they ask for, extraction, pruning and split
(`slices`), which layer learns from which (`places`), training of all layers' models at once
(`stacking`, `training`), the judgement of a fit (`diagnostics`) and the rules for what slices do
not cover (`others`). No initialiser is registered from here, and only modules that are imported
when something is fitted or initialised load torch.
"""
