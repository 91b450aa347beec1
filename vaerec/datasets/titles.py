"""Invented film titles in many cultures' names and places, with a noun that fits the genre."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources

import numpy as np

# Each pattern names a person or a place: that keeps them away from the titles of real films.
_WORDS = json.loads(resources.files(__package__).joinpath("titles.json").read_text("utf-8"))

GENRES = tuple(_WORDS["nouns"])
"""The genres there are words for; Comedy and Noir come first."""

FIRST_YEAR, LAST_YEAR = 1950, 2024

ROMAN = {1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC",
         50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V", 4: "IV", 1: "I"}


def invent_titles(genres: Sequence[str], generator: np.random.Generator) -> list[str]:
    """One title with a year per genre given, all different: ``"Rain in Busan (1957)"``.

    A title that comes up again becomes a sequel (II, III, ...), so a million films do not run out.
    """
    years = generator.integers(FIRST_YEAR, LAST_YEAR + 1, size=len(genres))
    draws = generator.random((len(genres), 5))  # one per bag of words below
    times_used: Counter[str] = Counter()
    titles = []
    for genre, year, draw in zip(genres, years, draws, strict=True):
        bags = (_WORDS["patterns"], _WORDS["nouns"][genre], _WORDS["adjectives"],
                _WORDS["places"], _WORDS["names"])
        pattern, noun, adjective, place, name = (
            bag[int(u * len(bag))] for bag, u in zip(bags, draw, strict=True))
        title = pattern.format(noun=noun, adjective=adjective, place=place, name=name)
        times_used[title] += 1
        sequel = f" {_roman(times_used[title])}" if times_used[title] > 1 else ""
        titles.append(f"{title}{sequel} ({year})")
    return titles


def _roman(number: int) -> str:
    text = ""
    for value, numeral in ROMAN.items():
        count, number = divmod(number, value)
        text += numeral * count
    return text
