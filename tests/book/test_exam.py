"""The exam bank: answers found in another way, fair mistakes, marking."""

import math
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import distributions as D

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "teaching"))
import exam

import vaerec as vr
from vaerec.batches import Bags, following
from vaerec.exercises import bank
from vaerec.likelihoods import multinomial_log_likelihood

SEEDS = range(200)


def two_coins(q, p):
    return D.kl_divergence(*(D.Bernoulli(torch.tensor(x, dtype=torch.float64)) for x in (q, p))).item()


def hidden_films(lengths):
    # A world where everybody has watched all films: each test user has the wanted number of targets.
    targets = []
    for n in lengths:
        user, item = np.divmod(np.arange(3 * n), n)
        log = vr.Interactions.from_frame(pd.DataFrame({"user": user, "item": item, "timestamp": item}))
        targets.append(len(vr.protocols.SACHDEVA_2019(log, n_heldout=1).test.targets[0]))
    return sum(targets)


def ndcg(k, hits, n):
    class OneList(vr.models.TopNRecommender):
        def score_batch(self, histories, users=None):
            return -torch.arange(self.n_items, dtype=torch.float32)[None]

    targets = np.array([*(rank - 1 for rank in hits), *range(k, k + n - len(hits))])
    held_out = vr.protocols.HeldOut(np.array(["Ada"]), [np.array([39])], [targets], np.ones(40, int), 5)
    return vr.evaluate(OneList(40), held_out, ks=(k,))[f"ndcg@{k}"]


def price_of_a_film(p, viewers):
    return viewers * stats.bernoulli(1 - p).var() / (1 - p) ** 2


def two_gaussians(mu, sigma, sigma_p):
    return D.kl_divergence(D.Normal(torch.tensor(mu, dtype=torch.float64), sigma),
                           D.Normal(torch.tensor(0.0, dtype=torch.float64), sigma_p)).item()


def rate_of_a_linear_vae(sigma, beta, eigenvalues):
    # The posterior of probabilistic PCA at the optimum, with noise beta sigma², averaged over the data.
    data, noise = np.diag(eigenvalues), beta * sigma**2
    w = np.diag(np.sqrt(np.maximum(np.array(eigenvalues) - noise, 0)))
    m = w.T @ w + noise * np.eye(5)
    encoder, covariance = np.linalg.solve(m, w.T), noise * np.linalg.inv(m)
    return 0.5 * (np.trace(encoder @ data @ encoder.T + covariance) - 5 - np.linalg.slogdet(covariance)[1])


def multinomial_loss(logits, watched):
    bags = Bags.from_histories([np.array(watched)], torch.device("cpu"))
    return -multinomial_log_likelihood(torch.tensor([logits], dtype=torch.float64), bags).item()


def next_k_pairs(k, t):
    return len(following(Bags.from_histories([np.arange(t)], torch.device("cpu")), k).items)


def gini_of_a_list(counts):
    # Half the mean difference of all pairs, relative to the mean.
    counts = np.array(counts)
    return np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())


def one_list_for_all(k, n_items, coverage):
    return n_items


def best_of_n(n, sd):
    draws = np.random.default_rng(0).standard_normal((20_000, n))
    return sd * draws.max(axis=1).mean()


def a_uniform_draw(low, high, good):
    return 100 * stats.uniform(low, high - low).cdf(good)


@pytest.mark.parametrize("name", exam.TEMPLATES)
def test_an_answer_found_in_another_way_is_right(name):
    again = globals()[name.replace("-", "_")]
    for seed in SEEDS[:20]:
        question = exam.ask(name, seed)
        assert question.mark(again(**question.given)) == (1, "right"), question


@pytest.mark.parametrize("name", exam.TEMPLATES)
def test_mistakes_are_told_from_the_answer_for_many_seeds(name):
    for seed in SEEDS:
        question = exam.ask(name, seed)
        assert math.isfinite(question.answer) and len(question.wrong) >= 2
        for mistake, value in question.wrong.items():
            assert abs(value - question.answer) > 2 * question.tolerance
            points, message = question.mark(value)
            assert points == 0 and message in question.wrong, mistake


@pytest.mark.parametrize("name", exam.TEMPLATES)
def test_another_seed_is_another_question(name):
    texts = [exam.ask(name, seed).text for seed in SEEDS[:50]]
    assert len(set(texts)) > 20
    assert texts == [exam.ask(name, seed).text for seed in SEEDS[:50]]


def test_each_chapter_up_to_ten_has_a_question_and_chapters_can_be_chosen():
    whole = exam.paper(3)
    assert {question.chapter for question in whole} == set(range(11))
    assert exam.paper(3, [4, 7]) == [question for question in whole if question.chapter in (4, 7)]
    with pytest.raises(ValueError, match="chapter 11; there are questions on 0, 1"):
        exam.paper(3, [11])


# Exercises of the book that ask the same with fixed numbers and have an open solution.
OPEN = {"two-gaussians": "04-kl", "ndcg": "02-ndcg-on-paper", "price-of-a-film": "03-price-of-a-film",
        "next-k-pairs": "07-next-k-pairs", "gini-of-a-list": "08-gini-by-hand",
        "rate-of-a-linear-vae": "05-surviving-units"}


@pytest.mark.parametrize("name, exercise", OPEN.items())
def test_no_paper_repeats_an_exercise(name, exercise):
    numbers = set(re.findall(r"\d+(?:\.\d+)?", bank.find(exercise).prompt))
    for seed in SEEDS:
        assert set(re.findall(r"\d+(?:\.\d+)?", exam.ask(name, seed).text)) - numbers


def filled(folder, questions, answers):
    path = folder / "ada.csv"
    rows = "\n".join(f"{question.name},{answer}" for question, answer in zip(questions, answers))
    path.write_text(f"question,answer\n{rows}\n", encoding="utf-8")
    return path


def test_write_and_mark(tmp_path, capsys):
    assert exam.main(["write", str(tmp_path), "--seed", "7", "--chapters", "4", "8"]) == 0
    questions = exam.paper(7, [4, 8])
    sheet, key = ((tmp_path / name).read_text(encoding="utf-8") for name in ("sheet.md", "key.md"))
    blank = exam.read_answers(tmp_path / "answers.csv", questions)
    assert blank == dict.fromkeys(["two-gaussians", "gini-of-a-list"])
    for question in questions:
        assert question.text in sheet and f"{question.answer:.6g}" in key
        assert f"{question.answer:.6g}" not in sheet
    answers = [f"{questions[0].answer:.3g}", next(iter(questions[1].wrong.values()))]
    capsys.readouterr()
    exam.main(["mark", str(filled(tmp_path, questions, answers)), "--seed", "7", "--chapters", "4", "8"])
    told = capsys.readouterr().out
    assert "1  two-gaussians: right" in told and "1 of 2 points" in told
    assert f"0  gini-of-a-list: {next(iter(questions[1].wrong))}" in told


def test_without_a_seed_one_is_drawn_that_nobody_guesses(tmp_path, capsys):
    seeds = set()
    for _ in range(2):
        exam.main(["write", str(tmp_path)])
        seeds.add(int(capsys.readouterr().out.split("seed is ")[1].split(":")[0]))
    assert len(seeds) == 2 and min(seeds) > 10**9


@pytest.mark.parametrize("text, message", [
    ("", "must begin with the line question,answer"),
    ("answer,question\n1,ndcg\n", "must begin with"),
    ("question,answer\nndcg,0,5\n", "line 2: 3 fields.*Write 0.5"),
    ("question,answer\nndgc,0.5\n", "line 2: 'ndgc' is not in this paper"),
    ("question,answer\nndcg,0.5\nndcg,0.5\n", "line 3: 'ndcg' is answered twice"),
    ("question,answer\nndcg,half\n", "line 2: 'half' is not a number"),
    ("question,answer\nndcg,nan\n", "line 2: 'nan' is not a number"),
    ("question,answer\nndcg,__import__('os')\n", "is not a number"),
])
def test_a_file_that_cannot_be_marked_says_why(text, message, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        exam.read_answers(path, exam.paper(1))
