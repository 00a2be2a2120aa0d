"""Classical initialisers: the ones that every new method has to beat.

One module a method, each opening with its paper, equations and deviations. What they share (gains,
biases, norms) is in `_layers`. No module imports torch before it initialises something.
"""
