"""SVAE: a VAE that reads a history in order and guesses what follows (Sachdeva et al. 2019)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vaerec import recipes
from vaerec.batches import Bags, following, padded
from vaerec.checks import check_whole
from vaerec.elbo import gaussian_kl, reparameterize
from vaerec.kernels import GRU, linear_multinomial
from vaerec.models.arguments import widths
from vaerec.models.base import Histories, TopNRecommender
from vaerec.models.exporting import PADDING, StepServer, write
from vaerec.models.layers import draw_weights, tanh_layers
from vaerec.schedules import Schedule, as_schedule

CELLS = {"gru": GRU, "lstm": partial(nn.LSTM, batch_first=True)}
SCORED_TOGETHER = 64  # histories of similar length that `scores` pads to one block
State = tuple[Tensor, ...]
"""What the recurrent layer keeps of B histories: one tensor [B, H] (GRU) or two (LSTM)."""


class SVAE(TopNRecommender):
    r"""After each item of a history, a Gaussian over taste; from a taste, a softmax over what follows.

    Item embedding -> GRU -> hidden layer -> (mu_t, logvar_t) at every step t -> hidden layer -> I
    (Sachdeva et al. 2019, §3). With S_t the targets of step t, training minimises the mean over
    all steps of a batch of

    .. math:: -\frac1{|S_t|_0} \sum_{i \in S_t} \log \pi(z_t)_i
        + \beta \, \mathrm{KL}(q(z_t \mid x_{1:t}) \,\|\, \mathcal N(0, I))

    where :math:`|S_t|_0` is ``targets``, or the number of targets of the step for "all".

    Edges: a history of one item or none has no step to learn from; a step near the end of a history has
    the targets that are left; an item that comes twice is read and predicted twice. Histories may be
    longer than any in training, and an empty one is answered with popularity. With ``beta`` 1 the best
    that training can reach is one list for everybody (chapter 7 of the book).

    Parameters
    ----------
    n_items : int
        Size of the catalogue, I.
    embedding_dim : int
        Size of an item's embedding.
    rnn_dim : int
        Size of the recurrent state, H.
    hidden_dims : sequence of int
        Hidden layers between state and (mu, logvar), with tanh; backwards in the decoder.
    latent_dim : int
        Size of the taste vector z, L.
    dropout : float
        Share of the embedding's and of the state's entries hidden in training.
    beta : Schedule or float
        Weight of the KL term of a step, as a function of the fraction of training done.
    targets : int or "all"
        How many of the following items a step predicts: 1 is the next item, "all" the whole rest.
    cell : {"gru", "lstm"}
    tied : bool
        Take the embedding as the last layer's weights too; needs ``embedding_dim`` equal to the
        width of the decoder's last hidden layer.

    Raises
    ------
    ValueError
        A size is not positive, ``targets`` or ``cell`` is unknown, or tied sizes do not fit.
    """

    reads_in_order = True
    first_means = 3.0  # how much larger than Xavier's the first weights of mu are
    recipe: ClassVar = recipes.SVAE
    recipe_of_other_batches: ClassVar = recipes.SVAE

    def __init__(self, n_items: int, embedding_dim: int = 256, rnn_dim: int = 200,
                 hidden_dims: Sequence[int] = (150,), latent_dim: int = 64, dropout: float = 0.2,
                 beta: Schedule | float = 0.0005, targets: int | str = 4, cell: str = "gru",
                 tied: bool = False):
        super().__init__(n_items)
        hidden_dims = widths("hidden_dims", hidden_dims)
        check_whole(embedding_dim=embedding_dim, rnn_dim=rnn_dim, latent_dim=latent_dim)
        if targets != "all" and (not isinstance(targets, int) or targets < 1):
            raise ValueError(f'targets={targets!r}: expected a number of items of at least 1, or "all"')
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: expected a share in [0, 1)")
        if cell not in CELLS:
            raise ValueError(f"cell={cell!r}: expected one of {tuple(CELLS)}")
        last = (latent_dim, *hidden_dims[::-1])[-1]
        if tied and last != embedding_dim:
            raise ValueError(f"tied=True: embedding_dim={embedding_dim} must equal the last hidden "
                             f"width {last}")
        self.embedding_dim, self.rnn_dim, self.hidden_dims = embedding_dim, rnn_dim, hidden_dims
        self.latent_dim, self.beta, self.targets = latent_dim, as_schedule(beta), targets
        self.cell, self.tied = cell, tied
        self.embedding = nn.Embedding(n_items, embedding_dim)
        self.rnn = CELLS[cell](embedding_dim, rnn_dim)
        self.dropout = nn.Dropout(dropout)
        self.encoder = tanh_layers([rnn_dim, *hidden_dims, 2 * latent_dim])
        self.decoder = tanh_layers([latent_dim, *hidden_dims[::-1], n_items])
        if tied:
            self.decoder[-1].weight = self.embedding.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier normal weights for the linear layers, as the authors; PyTorch's own for the rest.

        With them alone mu differs little between histories at the start, far less than the noise, so
        that for hundreds of steps the decoder learns to ignore z. The weights of mu are made larger.
        """
        self.embedding.reset_parameters()
        self.rnn.reset_parameters()
        draw_weights(self, nn.init.xavier_normal_)
        with torch.no_grad():
            self.encoder[-1].weight[:self.latent_dim] *= self.first_means

    def read(self, items: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read T more items of B users: the state after each step [B, T, H], and the last one.

        Parameters
        ----------
        items : int64 Tensor [B, T]
        state : State, optional
            Of what the users consumed before; nothing if not given.
        """
        if state is not None:  # the recurrent layer wants [1, B, H]
            state = tuple(part.unsqueeze(0) for part in state)
            state = state if self.cell == "lstm" else state[0]
        out, state = self.rnn(self.dropout(self.embedding(items)), state)
        state = state if self.cell == "lstm" else (state,)
        return out, tuple(part.squeeze(0) for part in state)

    def infer(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z_t | x_1..t) for states [..., H]: each [..., L]."""
        return self.encoder(self.dropout(hidden)).chunk(2, dim=-1)

    def sample(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Tastes drawn from q(z_t | x_1..t), [..., L]."""
        return reparameterize(mu, logvar)

    def decode(self, z: Tensor) -> Tensor:
        """Logits over the catalogue, [..., L] -> [..., I]."""
        return self.decoder(z)

    def loss(self, bags: Bags, progress: float) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Loss a step, in nats, mean over all steps of the batch that have a target.

        Histories are padded on the right. Steps of padding come after all others of a user, so the
        recurrent layer cannot carry anything back from them, and they are dropped before anything
        else is computed. A batch without any step that has a target has loss 0.

        Parameters
        ----------
        bags : Bags
            Histories of B users, oldest first. All items but the last are inputs.
        progress : float
            Fraction of training done, for the beta schedule.
        """
        inputs, valid = padded(bags, drop_last=True)  # [B, T] each; the last item is a target only
        targets = following(bags, self.targets)  # Bags of the N valid steps
        hidden, _ = self.read(inputs)
        mu, logvar = self.infer(hidden[valid])  # [N, L]
        z = self.sample(mu, logvar)
        last = self.decoder[-1]
        each = targets.lengths() if self.targets == "all" else self.targets
        n_steps = max(1, len(z))  # a batch without any has loss 0
        distortion = -linear_multinomial(self.decoder[:-1](z), last.weight, last.bias, targets,
                                         torch.ones_like(z[:, 0]) / each) / n_steps
        rate = gaussian_kl(mu, logvar).sum() / n_steps
        beta = self.beta(progress)
        parts = {"distortion": distortion.detach(), "rate": rate.detach(), "beta": beta,
                 "padded": 1 - len(z) / valid.numel(), "steps": len(z)}
        return distortion + beta * rate, parts

    def score_state(self, state: State) -> Tensor:
        """Logits [B, I] at the posterior mean after what `read` has read."""
        mu, _ = self.infer(state[0])
        return self.decode(mu)

    def score_batch(self, histories: Histories, users=None) -> Tensor:
        """Logits at the posterior mean of the last step, [B, I]."""
        order = np.argsort([len(history) for history in histories], kind="stable")
        parts = [self._score_similar([histories[row] for row in rows])
                 for rows in np.split(order, range(SCORED_TOGETHER, len(order), SCORED_TOGETHER))]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(self.device)]

    def _score_similar(self, histories: Histories) -> Tensor:
        """Scores of histories of similar length, padded to one block; an empty one gets padding's."""
        bags = Bags.from_histories(histories, self.device)
        hidden, _ = self.read(padded(bags)[0])  # [B, T, H]
        rows = torch.arange(len(histories), device=self.device)
        return self.score_state((hidden[rows, (bags.lengths() - 1).clamp(min=0)],))

    def export(self, path: str | os.PathLike, k: int = 100) -> None:
        """Write an ONNX file that reads one more item of each user and recommends.

        Its inputs are ``item`` int64 [B], ``state`` float32 [B, H] (zeros before the first item, then
        what the last call gave) and ``history`` int64 [B, T], the dense items to leave out, padded
        with -1. Its outputs are ``items`` int64 and ``scores`` float32, each [B, K], and ``next_state``.
        The metadata hold the raw ids, as a JSON list under ``item_ids``, and ``catalogue``.

        Parameters
        ----------
        path : str or path
            More than 2 GB of weights go into a second file, ``<path>.data``, which must stay beside it.
        k : int
            Length of the lists.

        Raises
        ------
        ImportError
            ``vaerec[onnx]`` is not installed.
        ValueError
            k is larger than the catalogue, or the cell is not a GRU.
        """
        if self.cell != "gru":
            raise ValueError(f"cell={self.cell!r}: only a GRU can be exported")
        arguments = {"item": torch.tensor([0, 0]), "state": torch.zeros(2, self.rnn_dim),
                     "history": torch.tensor([[0, 0], [0, PADDING]])}
        write(StepServer(self, k), arguments, ["items", "scores", "next_state"], path)
