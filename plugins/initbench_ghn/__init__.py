"""Graph hypernetworks: one network that predicts the weights of another from its graph.

`tracing` makes the graph of any module, `network` is the hypernetwork, `prediction` writes what it
says into a network and accounts for the rest, `training` fits one to images, `orthogonal` is what
may follow, and `ghn2`, `trained` and `orth` are the initialisers.
"""
