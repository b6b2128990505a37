#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the host goldens of this folder from the whole ones.

usage: thin_host_goldens.py GOLDENS_FOLDER [NAME...]     e.g. thin_host_goldens.py hosts convmae_tiny

What a model takes (state, images, noise, masks, configuration) is kept as it is. Of a tensor of
results with more than 1,024 numbers (prediction, latent, gradients) every seventh is kept, in the
order of its flattened numbers, under NAME.every7: seven has no factor in common with the sizes of
patches, channels and heads, so that every part of the tensor is sampled. The float64 reruns go.
"""

import argparse
import pathlib

import torch

HOSTS = ("convmae_", "lsmae_", "mff_", "simmim_")
RESULTS = ("latent", "pred", "layer", "grad.", "norm_pix.grad.")


def thinned(whole):
    kept = {}
    for name, tensor in whole.items():
        if name.startswith("f64."):
            continue
        if name.startswith(RESULTS) and tensor.numel() > 1024:
            kept[name + ".every7"] = tensor.flatten()[::7].clone()
        else:
            kept[name] = tensor.clone()
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("goldens", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    names = arguments.names or [
        path.stem for path in sorted(arguments.goldens.glob("*.pt")) if path.name.startswith(HOSTS)
    ]
    for name in names:
        target = pathlib.Path(__file__).parent / f"{name}.pt"
        torch.save(thinned(torch.load(arguments.goldens / f"{name}.pt")), target)
        print(f"{target.name}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
