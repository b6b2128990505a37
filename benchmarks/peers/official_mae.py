# SPDX-License-Identifier: Apache-2.0
"""The official MAE, from a checkout of facebookresearch/mae, as a training step."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy
import torch


def load(checkout: Path, fused_attention: bool) -> Any:
    """Its module models_mae. It was written for timm 0.3.2 and numpy 1: what later ones took away is
    given back to it. `fused_attention`: with PyTorch's own attention, which is younger than it."""
    from timm.models import vision_transformer

    numpy.float = float  # type: ignore[attr-defined]
    block = vision_transformer.Block

    class Block(block):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, qk_scale: None = None, **named: Any) -> None:
            super().__init__(*arguments, **named)

    vision_transformer.Block = Block
    if fused_attention:
        vision_transformer.Attention.forward = attend
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    return importlib.import_module("models_mae")


def attend(self: Any, tokens: torch.Tensor) -> torch.Tensor:
    """timm's attention by scaled_dot_product_attention."""
    batch, length, dim = tokens.shape
    heads = self.qkv(tokens).view(batch, length, 3, self.num_heads, dim // self.num_heads)
    query, key, value = heads.permute(2, 0, 3, 1, 4)
    mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    return self.proj(mixed.transpose(1, 2).reshape(batch, length, dim))


class OfficialStep:
    """Masks, forward, backward, AdamW: engine_pretrain.py without its logging."""

    def __init__(self, checkout: Path, batch: int, fused_attention: bool, bfloat16: bool) -> None:
        self._model = load(checkout, fused_attention).mae_vit_base_patch16(norm_pix_loss=True)
        self._images = torch.randn(batch, 3, 224, 224)
        self._bfloat16 = bfloat16
        decayed, spared = [], []
        for parameter in self._model.parameters():
            if parameter.requires_grad:
                (spared if parameter.ndim == 1 else decayed).append(parameter)
        self._optimizer = torch.optim.AdamW(
            [{"params": spared, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.05}],
            lr=1e-4, betas=(0.9, 0.95))

    def __call__(self) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            loss, _, _ = self._model(self._images, mask_ratio=0.75)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
