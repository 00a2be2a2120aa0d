"""Whether gradients keep their size on the way back through the initial network."""

from __future__ import annotations

from initbench.measures.start_up import VarianceMeasure


class GradientVariance(VarianceMeasure):
    """How unequal the variances of gradients are over layers, before training by default.

    As `activation_variance`, of the gradient of each image's loss with respect to the responses of
    a layer: equation 9 of Glorot & Bengio (2010), equations 13 and 14 of He et al. (2015).
    """

    name = "gradient_variance"
    quantity = "gradients"
    summary = "How unequal the gradient variances of layers are before training."
