"""Recommenders, from the floor (random) to the ceiling (the oracle)."""

from vaerec.models.autoencoder import Autoencoder, MultDAE
from vaerec.models.base import TopNRecommender
from vaerec.models.ease import EASE
from vaerec.models.mvae import MVAE
from vaerec.models.oracle import Oracle
from vaerec.models.popularity import Popularity, Random
from vaerec.models.svae import SVAE

__all__ = ["EASE", "MVAE", "SVAE", "Autoencoder", "MultDAE", "Oracle", "Popularity", "Random",
           "TopNRecommender"]
