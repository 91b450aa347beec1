"""MVAE, also Mult-VAE: a VAE over a user's bag of items (Liang et al. 2018)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from vaerec.batches import Bags
from vaerec.elbo import (
    LinearToCap,
    Schedule,
    as_schedule,
    gaussian_kl,
    reparameterize,
)
from vaerec.likelihoods import LIKELIHOODS
from vaerec.models.arguments import check_whole, widths
from vaerec.models.base import Histories, TopNRecommender
from vaerec.models.exporting import PADDING, BagServer, write
from vaerec.models.layers import BagLinear, decoded_log_likelihood, draw_weights, tanh_layers


class MVAE(TopNRecommender):
    """Encode a history into a Gaussian over taste, decode a taste into a softmax over items.

    The encoder is I -> hidden_dims -> (mu, logvar), the decoder L -> decoder_dims -> I, with tanh
    between layers (Liang et al. 2018, §2). Training maximises the ELBO with its KL term weighted by ``beta``.

    Parameters
    ----------
    n_items : int
        Size of the catalogue, I.
    hidden_dims : sequence of int
        Width of each hidden layer of the encoder, H.
    latent_dim : int
        Size of the taste vector z, L.
    dropout : float
        Share of a history's items hidden from the encoder in training.
    beta : Schedule or float
        Weight of the KL term as a function of the fraction of training done, or a constant.
    decoder_dims : sequence of int, optional
        Width of each hidden layer of the decoder; by default ``hidden_dims`` backwards.
    likelihood : {"multinomial", "bernoulli", "gaussian"}
        What the decoder's outputs are logits or means of. Mult-VAE is the multinomial.

    Raises
    ------
    ValueError
        A size is not positive, ``dropout`` is outside [0, 1) or the likelihood is unknown.
    """

    def __init__(self, n_items: int, hidden_dims: Sequence[int] = (600,), latent_dim: int = 200,
                 dropout: float = 0.5, beta: Schedule | float = LinearToCap(0.2),
                 decoder_dims: Sequence[int] | None = None, likelihood: str = "multinomial"):
        super().__init__(n_items)
        hidden_dims = widths("hidden_dims", hidden_dims)
        decoder_dims = hidden_dims[::-1] if decoder_dims is None else widths("decoder_dims", decoder_dims)
        check_whole(latent_dim=latent_dim)
        if not hidden_dims:
            raise ValueError("hidden_dims=(): expected at least one hidden layer in the encoder")
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood={likelihood!r}: expected one of {tuple(LIKELIHOODS)}")
        self.hidden_dims, self.latent_dim, self.decoder_dims = hidden_dims, latent_dim, decoder_dims
        self.dropout, self.beta, self.likelihood = dropout, as_schedule(beta), likelihood
        first, *rest = hidden_dims
        self.first = BagLinear(n_items, first, dropout, normalize=True)
        self.encoder = tanh_layers([first, *rest, 2 * latent_dim])
        self.decoder = tanh_layers([latent_dim, *decoder_dims, n_items])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier weights and truncated normal biases of scale .001, as in the authors' code."""
        draw_weights(self)

    def encode(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each [B, L]."""
        return self.encoder(self.first(bags).tanh()).chunk(2, dim=1)

    def sample(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """A taste drawn from q(z | x), [B, L]."""
        return reparameterize(mu, logvar)

    def decode(self, z: Tensor) -> Tensor:
        """Logits over the catalogue, [B, L] -> [B, I]."""
        return self.decoder(z)

    def loss(self, bags: Bags, progress: float) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Negative ELBO with weight beta on the KL, in nats a user, mean over users.

        Parameters
        ----------
        bags : Bags
            The items of B users: input and target at once.
        progress : float
            Fraction of training done, for the beta schedule.
        """
        mu, logvar = self.encode(bags)
        z = self.sample(mu, logvar)
        distortion = -decoded_log_likelihood(self.decoder, z, bags, self.likelihood) / bags.n_users
        rate = gaussian_kl(mu, logvar).mean()
        beta = self.beta(progress)
        parts = {"distortion": distortion.detach(), "rate": rate.detach(), "beta": beta}
        return distortion + beta * rate, parts

    @torch.no_grad()
    def distortion_and_rate(self, histories: Histories, n_samples: int = 1) -> tuple[Tensor, Tensor]:
        """The two terms of the negative ELBO of each user in nats, without dropout: each [B].

        ``-(distortion + rate)`` is a bound of log p(x), beta 1, whatever beta the model was trained
        with.

        Parameters
        ----------
        histories : list of B int64 arrays
            Input and target at once.
        n_samples : int
            Tastes drawn from q(z | x) for each user; the distortion is their mean.
        """
        self.eval()
        bags = Bags.from_histories(histories, self.device).once()
        mu, logvar = self.encode(bags)
        log_likelihood = sum(LIKELIHOODS[self.likelihood](self.decode(self.sample(mu, logvar)), bags)
                             for _ in range(n_samples)) / n_samples
        return -log_likelihood, gaussian_kl(mu, logvar)

    def score_batch(self, histories: Histories, users=None) -> Tensor:
        """Logits at the posterior mean, [B, I]."""
        mu, _ = self.encode(Bags.from_histories(histories, self.device).once())
        return self.decode(mu)

    def export(self, path: str | os.PathLike, k: int = 100) -> None:
        """Write an ONNX file that recommends: masking and top-k are inside, PyTorch is not needed.

        Its input ``history`` is int64 [B, T], dense items, padded with -1 (an empty one gets popularity, an
        item that comes twice is read once); its outputs are ``items`` int64 and ``scores`` float32, each
        [B, K], best first. Where fewer than k items are unseen, the rest has score -inf. The metadata hold
        the raw ids, as a JSON list under ``item_ids``, and their fingerprint under ``catalogue``.

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
            k is larger than the catalogue.
        """
        history = torch.tensor([[0, 0], [0, PADDING]])
        write(BagServer(self, k), {"history": history}, ["items", "scores"], path)
