"""Autoencoders without a distribution: the plain one, and Mult-DAE (Liang et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vaerec.batches import Bags
from vaerec.checks import check_whole
from vaerec.likelihoods import LIKELIHOODS
from vaerec.models.arguments import widths
from vaerec.models.base import Histories, TopNRecommender
from vaerec.models.layers import BagLinear, decoded_log_likelihood, draw_weights, tanh_layers


class Autoencoder(TopNRecommender):
    """Squeeze a 0/1 history through ``latent_dim`` numbers and write it out again.

    I -> hidden_dims -> latent_dim -> hidden_dims backwards -> I, with tanh after the hidden layers
    and none after the code. Without hidden layers, dropout, penalty and scaling, both halves are
    affine, and under the Gaussian likelihood (squared error) the best such map is PCA: the projector
    onto the leading principal directions of the *centred* data, since the biases take the mean out
    (Baldi & Hornik 1989). The weights themselves are known only up to an invertible matrix.

    Parameters
    ----------
    n_items : int
        Size of the catalogue, I.
    hidden_dims : sequence of int
        Width of each hidden layer of the encoder, H.
    latent_dim : int
        Size of the code, L.
    dropout : float
        Share of a history's items hidden from the encoder in training, not from the loss.
    l2 : float
        Weight of the sum of all squared weights (biases not) in the loss.
    likelihood : {"gaussian", "multinomial", "bernoulli"}
        What the outputs are means or logits of.
    normalize : bool
        Scale each input row to length 1.

    Raises
    ------
    ValueError
        A size is not positive, ``dropout`` is outside [0, 1), ``l2`` is negative or the likelihood
        is unknown.
    """

    def __init__(self, n_items: int, hidden_dims: Sequence[int] = (), latent_dim: int = 200,
                 dropout: float = 0.0, l2: float = 0.0, likelihood: str = "gaussian",
                 normalize: bool = False):
        super().__init__(n_items)
        hidden_dims = widths("hidden_dims", hidden_dims)
        check_whole(latent_dim=latent_dim)
        if not 0 <= l2 < float("inf"):
            raise ValueError(f"l2={l2}: expected a penalty of at least 0")
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood={likelihood!r}: expected one of {tuple(LIKELIHOODS)}")
        self.hidden_dims, self.latent_dim, self.dropout = hidden_dims, latent_dim, dropout
        self.l2, self.likelihood, self.normalize = l2, likelihood, normalize
        first, *rest = *hidden_dims, latent_dim
        self.first = BagLinear(n_items, first, dropout, normalize)
        self.encoder = tanh_layers([first, *rest])
        self.decoder = tanh_layers([latent_dim, *hidden_dims[::-1], n_items])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier weights, biases near zero."""
        draw_weights(self)

    def encode(self, bags: Bags) -> Tensor:
        """The code of each user, [B, L]."""
        hidden = self.first(bags)
        return self.encoder(hidden.tanh()) if self.hidden_dims else hidden

    def decode(self, z: Tensor) -> Tensor:
        """One score per item, [B, L] -> [B, I]."""
        return self.decoder(z)

    def loss(self, bags: Bags, progress: float) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Distortion, -log p(x | code) in nats, mean over users, plus ``l2`` times all squared weights.

        Parameters
        ----------
        bags : Bags
            The items of B users: input and target at once.
        progress : float
            Not used: no schedule here.
        """
        log_likelihood = decoded_log_likelihood(self.decoder, self.encode(bags), bags, self.likelihood)
        distortion = -log_likelihood / bags.n_users
        squares = sum(weights.square().sum() for weights in self.parameters() if weights.dim() > 1)
        return distortion + self.l2 * squares, {"distortion": distortion.detach()}

    def score_batch(self, histories: Histories, users=None) -> Tensor:
        """Outputs of the decoder, [B, I]."""
        return self.decode(self.encode(Bags.from_histories(histories, self.device).once()))


class MultDAE(Autoencoder):
    """Mult-DAE: a denoising autoencoder with a softmax over the catalogue (Liang et al. 2018, §3).

    I -> latent_dim -> I with tanh on the code, normalised input, dropout on it and the multinomial
    likelihood. The loss counts all items of a user, those hidden from the encoder too.

    Parameters
    ----------
    n_items : int
        Size of the catalogue, I.
    latent_dim : int
        Size of the code, L.
    dropout : float
        Share of a history's items hidden from the encoder in training.
    l2 : float
        Weight of the sum of squared weights in the loss; the authors' is .01 / 500.
    """

    def __init__(self, n_items: int, latent_dim: int = 200, dropout: float = 0.5, l2: float = 0.01 / 500):
        super().__init__(n_items, latent_dim=latent_dim, dropout=dropout, l2=l2,
                         likelihood="multinomial", normalize=True)

    def encode(self, bags: Bags) -> Tensor:
        """The code of each user, each entry between -1 and 1: [B, L]."""
        return super().encode(bags).tanh()
