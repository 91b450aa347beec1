"""Models as ONNX files: ids in, ids out, so that a server needs no PyTorch."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vaerec.models.arguments import check_k
from vaerec.ranking import tie_order

PADDING = -1  # of a history that is shorter than the longest of its batch
LARGEST = 2**31 - 2**20  # bytes of weights in one file: ONNX files end at 2 GB


class BagServer(nn.Module):
    """From histories to the best unseen items, for a model that adds up its history's weights.

    Parameters
    ----------
    model : MVAE
    k : int
    """

    def __init__(self, model: nn.Module, k: int):
        super().__init__()
        self.model, self.k = model, k

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """Histories [B, T], padded with -1 -> items and scores, each [B, K]."""
        first = self.model.first
        history, _ = history.sort(dim=1)
        again = nn.functional.pad(history[:, 1:] == history[:, :-1], (1, 0))  # equal to its left neighbour
        seen = (history >= 0) & ~again  # an item that comes twice is read once
        length = seen.sum(dim=1, keepdim=True)  # [B, 1]
        rows = first.weight[history.clamp(min=0)] * seen.unsqueeze(-1)  # [B, T, H]
        scale = length.clamp(min=1).to(rows.dtype).rsqrt() if first.normalize else 1.0
        mu, _ = self.model.encoder((first.bias + rows.sum(dim=1) * scale).tanh()).chunk(2, dim=1)
        scores = torch.where(length > 0, self.model.decode(mu), self.model.log_popularity)
        return best_unseen(scores, history, self.k)


class StepServer(nn.Module):
    """From a state and one more item to the next state and the best unseen items.

    Parameters
    ----------
    model : SVAE
        With a GRU.
    k : int
    """

    def __init__(self, model: nn.Module, k: int):
        super().__init__()
        self.model, self.k = model, k

    def forward(self, item: Tensor, state: Tensor, history: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Item [B], state [B, H], seen items [B, T] padded with -1 -> items, scores and the next state."""
        _, (state,) = self.model.read(item.unsqueeze(1), (state,))
        items, scores = best_unseen(self.model.score_state((state,)), history, self.k)
        return items, scores, state


def best_unseen(scores: Tensor, history: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best items of scores [B, I] that are not in histories [B, T], and their scores.

    The order of `vaerec.ranking.best` in the operators of ONNX, whose TopK puts the first of equal columns
    first: the columns come in the order that decides ties.
    """
    n_items = scores.shape[1]
    # Padding goes to a column of its own, so that it masks no item.
    wide = torch.cat([scores, scores[:, :1]], dim=1)
    wide = wide.scatter(1, torch.where(history >= 0, history, n_items), -torch.inf)
    order = torch.from_numpy(tie_order(n_items).copy()).to(scores.device)
    best = wide[:, order].topk(k, dim=1)
    return order[best.indices], best.values


def write(server: nn.Module, arguments: dict[str, Tensor], outputs: list[str],
          path: str | os.PathLike) -> None:
    """Export for any number of users B and of seen items T; what the model knows of its items goes along.

    The file's metadata hold ``catalogue``, the fingerprint of the raw ids, and ``item_ids``, the ids
    themselves as a JSON list: the raw id of dense item i stands at place i. They are empty where the
    model does not know its items, and ``item_ids`` where the ids are neither numbers nor texts.

    Weights of more than 2 GB are written to a second file, whose name ends in ``.data``, and must stay beside
    the first.

    Raises
    ------
    ImportError
        The packages that write ONNX are missing; says how to get them.
    ValueError
        A k that the catalogue does not hold.
    """
    model, k = server.model, server.k
    check_k(k, model.n_items)
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch.onnx imports it late and says less
    except ImportError as error:
        raise ImportError("export needs two more packages: "
                          "pip install 'onnx>=1.18' 'onnxscript>=0.5'") from error
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    batch, length = torch.export.Dim("B"), torch.export.Dim("T")
    shapes = {name: {0: batch, 1: length} if name == "history" else {0: batch} for name in arguments}
    home = model.device
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of the exporter about itself
            program = torch.onnx.export(server.eval().cpu(), kwargs=arguments, dynamic_shapes=shapes,
                                        dynamo=True, input_names=list(arguments), output_names=outputs,
                                        verbose=False)
    finally:
        server.to(home)
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {"model": type(model).__name__, "n_items": str(model.n_items),
                                        "catalogue": model.catalogue or "",
                                        "item_ids": _as_json(model.item_ids)})
    large = sum(weights.nbytes for weights in server.state_dict().values()) > LARGEST
    data = path.with_name(f"{path.name}.data")
    # What is there already stays whole until the new files are.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        onnx.save(proto, draft, save_as_external_data=large, location=data.name)
        if large:
            os.replace(draft.with_name(data.name), data)
        os.replace(draft, path)
    if not large:
        data.unlink(missing_ok=True)


def _as_json(item_ids: np.ndarray | None) -> str:
    try:
        return "" if item_ids is None else json.dumps(item_ids.tolist())
    except TypeError:
        return ""
