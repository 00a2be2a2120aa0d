"""Whether activations keep their size on the way through the initial network."""

from __future__ import annotations

from initbench.measures.start_up import VarianceMeasure


class ActivationVariance(VarianceMeasure):
    """How unequal the variances of activations v_l are over layers l, before training by default.

    The mean over layers of |log10 v_l - mean log10 v|: 0 where all layers have the same variance,
    which is what equation 8 of Glorot & Bengio (2010) asks for and He et al. (2015) keep for
    ReLUs; 1 where a layer is typically ten times above or below. Activations are the responses of
    convolutional and linear layers. By layer, the variances themselves are shown. Infinite where a
    layer has no variance, or one that is not finite.
    """

    name = "activation_variance"
    quantity = "activations"
    summary = "How unequal the activation variances of layers are before training."
