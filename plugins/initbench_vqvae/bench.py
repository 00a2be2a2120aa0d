"""How long it takes to draw a ResNet-20 from VQVAEs and their priors.

    python -m initbench_vqvae.bench [--rounds 5] [--device cpu] [--threads 1] [--members 25]

The models were not trained; fitted ones take a few percent longer. Threads matter on a CPU only;
initbench's workers have one each.
"""

from __future__ import annotations

import argparse
import logging

import torch
from initbench_slices.drawing import random_models, report

from initbench_vqvae.initialiser import CodesConfig, VQVAEStar
from initbench_vqvae.model import SliceVQVAE
from initbench_vqvae.prior import GatedPixelCNN


def main() -> None:
    """Time drawing and log it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Draw ResNet-20s from VQVAEs and their priors.")
    parser.add_argument("--rounds", type=int, default=5, help="of each size (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU (default: 1)")
    parser.add_argument("--members", type=int, default=25, help="drawn at once (default: 25)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    models = random_models(SliceVQVAE(3).starts())
    priors = random_models(GatedPixelCNN(3).starts())
    models |= {f"prior.{name}": x for name, x in priors.items()}
    initialiser = VQVAEStar(CodesConfig())
    report(initialiser, models, options.device, options.rounds, options.members)


if __name__ == "__main__":
    main()
