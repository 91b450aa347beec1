"""Trained weights as JSON for a widget: one byte a number, one scale a row, and a checksum.

``2-weights.js`` reads what `packed` writes.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import torch


def quantised(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 [R, C] and float32 scales [R]: the largest number of a row becomes 127."""
    largest = np.abs(matrix).max(axis=1)
    scale = (np.where(largest > 0, largest, 1) / 127).astype("<f4")
    return np.rint(matrix / scale[:, None]).clip(-127, 127).astype(np.int8), scale


def packed(state: dict[str, torch.Tensor], names: dict[str, str]) -> dict:
    """Tensors of a model under short names: matrices in int8, vectors in float32."""
    tensors, everything = {}, b""
    for short, name in names.items():
        values = state[name].numpy()
        if values.ndim == 1:
            parts = {"float32": values.astype("<f4")}
        else:
            whole, scale = quantised(values)
            parts = {"int8": whole, "scale": scale}
        raw = {kind: part.tobytes() for kind, part in parts.items()}
        everything += b"".join(raw.values())
        tensors[short] = {"shape": list(values.shape),
                          **{kind: base64.b64encode(part).decode() for kind, part in raw.items()}}
    return {"tensors": tensors, "checksum": zlib.crc32(everything)}


def unpacked(kept: dict) -> dict[str, torch.Tensor]:
    """What the browser makes of `packed`: float32 tensors under the short names."""
    def array(text: str, kind: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(text), kind)

    made = {}
    for short, tensor in kept["tensors"].items():
        if "float32" in tensor:
            values = array(tensor["float32"], "<f4").copy()
        else:
            values = array(tensor["int8"], np.int8).reshape(tensor["shape"]) * array(
                tensor["scale"], "<f4")[:, None]
        made[short] = torch.from_numpy(values.reshape(tensor["shape"]))
    return made


def write(path: Path, content: dict) -> None:
    """One line of JSON."""
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")
