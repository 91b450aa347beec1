"""Metric ranges: where they come from, what they let pass, and what they must not."""

import numpy as np
import pandas as pd
import pytest
import run
import torch
import yaml
from scipy.stats import t

import vaerec as vr

RANGES = yaml.safe_load((run.ROOT / "tests" / "notebooks" / "ranges.yaml").read_text())
IMPERSONAL = ("random", "popularity")  # models that claim no learning
CASES = [(stem, profile) for stem in RANGES for profile in RANGES[stem]]


def metrics(stem: str, profile: str) -> dict[str, dict]:
    return RANGES[stem][profile]["metrics"]


def test_every_chapter_has_ranges_for_both_profiles():
    assert {stem: set(profiles) for stem, profiles in RANGES.items()} == {
        stem: {"quick", "full"} for stem in run.chapters()}
    assert all(metrics(*case) and RANGES[case[0]][case[1]]["relations"] for case in CASES)


@pytest.mark.parametrize(("stem", "profile"), CASES)
def test_ranges_follow_from_mean_and_deviation(stem, profile):
    for name, row in metrics(stem, profile).items():
        n, half = row["n"], 1e-5 if name.endswith("_error") else 0.003
        assert n > 1 or row["sd"] == 0
        if n > 1:
            half = max(half, t.ppf(0.995, n - 1) * row["sd"] * np.sqrt(1 + 1 / n))
        rounding = 1e-6 if n == 1 else 5e-5
        assert row["low"] == pytest.approx(row["mean"] - half, abs=rounding)
        assert row["high"] == pytest.approx(row["mean"] + half, abs=rounding)


@pytest.mark.parametrize("stem", list(RANGES))
def test_the_committed_results_are_in_range(stem):
    check(run.recorded(run.read(stem)), stem, "full")


def check(values: dict, stem: str, profile: str) -> None:
    """Every metric within its range, every relation as it should be."""
    outside = {name: (values[name], row["low"], row["high"])
               for name, row in metrics(stem, profile).items()
               if not row["low"] <= values[name] <= row["high"]}
    assert outside == {}
    for more, less in RANGES[stem][profile]["relations"]:
        assert values[more] > values[less], f"{more} > {less}"


@pytest.fixture(scope="module")
def long_runs() -> pd.DataFrame:
    """NDCG@100 of MVAE on MovieLens-1M: a row a seed, a column a variant."""
    runs = pd.read_csv(run.ROOT / "benchmarks" / "mvae_seeds.csv")
    return runs.pivot(index="seed", columns="variant", values="ndcg@100")


def test_what_chapter_6_says_of_the_long_runs_holds_in_every_seed(long_runs):
    said = long_runs[["LIANG_2018", "bernoulli", "gaussian", "averaged KL", "noise .01"]]
    assert len(said) == 5 and said.notna().all(axis=None)
    assert (said[["bernoulli", "gaussian", "averaged KL"]].max(axis=1) < said["LIANG_2018"]).all()
    assert (said["noise .01"] > said["LIANG_2018"]).all()


def test_what_chapter_5_says_of_the_long_runs_holds_in_every_seed(long_runs):
    flat, climbing = long_runs["beta 0.2 constant"], long_runs["LIANG_2018"]
    flat_1, climbing_1 = long_runs["beta 1 constant"], long_runs["beta 1 annealed"]
    assert long_runs["beta 0"].notna().sum() == 5
    by_path = pd.concat([climbing - flat, climbing_1 - flat_1])
    by_price = pd.concat([flat - flat_1, climbing - climbing_1])
    assert len(by_path) == len(by_price) == 10
    assert by_path.min() > 0 and by_price.min() > 0
    assert by_price.mean() > 3 * by_path.mean()  # "several times less"


def test_the_better_bound_of_chapter_6_ranks_worse():
    runs = pd.read_csv(run.ROOT / "benchmarks" / "mvae_seeds.csv")
    runs["elbo"] = -runs["test_distortion"] - runs["test_rate"]
    means = runs.groupby("variant")[["elbo", "ndcg@100"]].mean()
    caps = ["beta 0.05 annealed", "LIANG_2018", "beta 0.5 annealed", "beta 1 annealed"]
    assert means.loc[caps, "elbo"].is_monotonic_increasing
    assert means["ndcg@100"]["beta 1 annealed"] < means.loc[caps[:3], "ndcg@100"].min()


def test_what_chapter_7_says_of_the_fused_loss_is_in_its_table():
    table = pd.read_csv(run.ROOT / "benchmarks" / "fused_multinomial.csv").set_index("units")
    ratios = table[["time_plain_over_fused", "memory_plain_over_fused"]]
    assert len(ratios.loc[150]) == len(ratios.loc[600]) == 6
    assert (ratios.loc[150] > 1).all(axis=None)
    assert (ratios.loc[600].mean() < ratios.loc[150].mean()).all()
    assert ratios.loc[600, "time_plain_over_fused"].between(0.9, 1.25).all()


@pytest.fixture(scope="module")
def sequence_runs() -> pd.DataFrame:
    return pd.read_csv(run.ROOT / "benchmarks" / "svae_runs.csv")


def test_svae_replicates_the_paper_in_every_seed(sequence_runs):
    long = sequence_runs[sequence_runs["group"] == "long"].groupby("variant")["ndcg@100"]
    published = yaml.safe_load((run.ROOT / "benchmarks" / "published.yaml").read_text())
    reported = [published[key]["results"]["SVAE"]["ndcg@100"]
                for key in ("sachdeva_2019", "sachdeva_2019_notebook")]
    assert long.count()["SVAE"] == 5
    assert long.min()["SVAE"] > max(0.32, *reported)
    assert long.min()["SVAE"] > long.max()["SASRec"] > long.max()["EASE, recent"]


def test_what_chapter_7_says_of_the_short_runs_holds(sequence_runs):
    short = sequence_runs[sequence_runs["group"] == "short"]
    assert short["epochs"].unique().tolist() == [3]  # "of three epochs"
    collapsed = {"beta 0.2", "beta 1", "weight decay 0.005"}
    assert set(short.loc[short["alarms"] > 0, "variant"]) == collapsed
    value = short.groupby("variant")["ndcg@100"].mean()
    unchanged = value["unchanged"]
    assert (value[list(collapsed)] < 0.152).all()
    assert value["beta 0"] < 0.15
    assert value["beta 0.01"] < unchanged - 0.01
    assert value["next 8 films"] > value["next film only"] + 0.005 > value["all films that follow"]
    assert unchanged > value["next film only"] + 0.005
    assert abs(value["z sampled when scoring"] - unchanged) < 0.005
    assert value["last film left out"] < unchanged - 0.02
    shuffled = value[["shown films shuffled", "training shuffled", "both shuffled"]]
    assert shuffled.between(0.2, 0.23).all()
    assert value["quiet start"] < unchanged - 0.03


def test_what_chapter_11_says_of_size_is_in_its_table():
    table = pd.read_csv(run.ROOT / "benchmarks" / "scaling.csv")
    assert table["interactions"].min() < 1.2e5 and table["interactions"].max() > 9e7
    assert table["items"].eq(100_000).all()
    seconds = table["seconds_a_step"]
    assert seconds.max() < 1.3 * seconds.min()  # "about the same in every world"
    assert table["peak_mb"].max() < min(6_000, 2 * table["peak_mb"].min())
    assert table["loading_share"].max() < 0.01


def test_what_chapter_7_says_of_drift_holds_in_every_world(sequence_runs):
    worlds = pd.read_csv(run.ROOT / "benchmarks" / "drift.csv")
    wide = worlds.pivot(index=["drift", "seed"], columns="model", values="ndcg@100")
    bags = wide[["MVAE", "EASE"]]
    assert (bags.loc[0.0].min(axis=1) > wide["SVAE"].loc[0.0]).all()
    middling = wide.loc[[0.25, 0.5]]
    assert (middling["SVAE"] > middling[["MVAE", "EASE", "EASE, recent"]].max(axis=1)).all()
    gap = wide[["MVAE", "SVAE"]].loc[1.0].sub(wide["popularity"].loc[1.0], axis=0)
    assert (gap.abs() < 0.03).all(axis=None)
    gain = (wide["SVAE"] / wide["SVAE, shuffled"]).groupby("drift").mean()
    of_ml_1m = sequence_runs.pivot(index="seed", columns="variant", values="ndcg@100")
    assert (of_ml_1m["unchanged"] / of_ml_1m["both shuffled"]).mean() > gain.max()
    assert gain[0.5] > 1.1 > 1.03 > gain[[0.0, 1.0]].max()


def test_what_chapter_8_says_of_lists_holds_in_every_seed():
    runs = pd.read_csv(run.ROOT / "benchmarks" / "beyond_accuracy.csv")
    of = dict(list(runs.groupby("variant")))
    assert [len(of[name]) for name in ("MVAE", "Mult-DAE", "SVAE", "EASE", "popularity")] == [5, 5, 3, 1, 1]

    def greater(metric, one, other):
        return of[one][metric].min() > of[other][metric].max()

    assert greater("ndcg@100", "EASE", "MVAE") and greater("ndcg@100", "Mult-DAE", "MVAE")
    assert greater("ndcg@100", "EASE", "Mult-DAE")  # though these users cannot tell: chapter 8
    assert greater("novelty@100", "MVAE", "EASE") and greater("coverage@100", "MVAE", "EASE")
    for metric in ("ndcg@100", "coverage@100"):  # better "in both directions"
        assert greater(metric, "Mult-DAE, penalty 0.2", "MVAE")
    assert greater("ndcg@100", "popularity", "SVAE")
    for other in ("EASE", "Mult-DAE", "MVAE"):  # low Gini and overlap are praised
        assert greater("gini@100", other, "SVAE") and greater("overlap@100", other, "SVAE")


def test_what_chapter_8_says_of_beta_holds_in_every_seed():
    runs = pd.read_csv(run.ROOT / "benchmarks" / "mvae_seeds.csv")
    coverage, ndcg = (runs.pivot(index="seed", columns="variant", values=metric)[
        ["beta 0", "LIANG_2018", "beta 1 annealed"]] for metric in ("coverage@100", "ndcg@100"))
    assert len(coverage) == 5 and coverage.notna().all(axis=None)
    assert (coverage.diff(axis=1).iloc[:, 1:] < 0).all(axis=None)  # a larger beta shows fewer films
    assert (ndcg[["beta 0", "beta 1 annealed"]].max(axis=1) < ndcg["LIANG_2018"]).all()


def impostors(data: str, n_heldout: int, protocol: str, **dimensions) -> dict[str, float]:
    """NDCG@100 of models that have learnt nothing about anybody."""
    split = getattr(vr.protocols, protocol)(vr.load(data), n_heldout=n_heldout)
    models = {"random": vr.models.Random(split.n_items),
              "popularity": vr.models.Popularity(split.n_items),
              "untrained MVAE": vr.models.MVAE(split.n_items, **dimensions),
              "untrained SVAE": vr.models.SVAE(split.n_items, **dimensions),
              "untrained EASE": vr.models.EASE(split.n_items)}
    torch.manual_seed(0)
    for name in ("untrained MVAE", "untrained SVAE"):
        models[name].reset_parameters()
    for model in models.values():
        model.remember_popularity(split)
    values = {name: vr.evaluate(model, split.test, ks=(100,))["ndcg@100"]
              for name, model in models.items()}
    return values | {"zero": 0.0}


@pytest.fixture(scope="module", params=[("quick", "LIANG_2018"), ("quick", "SACHDEVA_2019"),
                                        ("full", "LIANG_2018"), ("full", "SACHDEVA_2019")],
                ids=" ".join)
def cheats(request):
    """Impostors by chapter, for one profile and protocol."""
    profile, protocol = request.param
    if profile == "full":
        request.getfixturevalue("ml_1m")  # skips where it is missing
    found = {}
    for stem, profiles in run.chapters().items():
        if not any(row.get("protocol") == protocol for row in metrics(stem, profile).values()):
            continue
        own = {"data": "synthetic"} | profiles["full"] | profiles[profile]
        sizes = {"hidden_dims": own.get("hidden_dims", [600]), "latent_dim": own.get("latent_dim", 200)}
        found[stem] = impostors(own["data"], own["n_heldout"], protocol, **sizes)
    return profile, protocol, found


def test_a_model_that_learnt_nothing_is_out_of_range(cheats):
    profile, protocol, found = cheats
    checked = 0
    for stem, values in found.items():
        for name, row in metrics(stem, profile).items():
            if row.get("protocol") != protocol or name.split("_")[1] in IMPERSONAL:
                continue
            passing = {cheat: value for cheat, value in values.items()
                       if row["low"] <= value <= row["high"]}
            assert passing == {}, name
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize(("stem", "profile"), CASES)
def test_under_other_protocols_popularity_is_out_of_range(stem, profile):
    """Where no impostors are made, the popularity list of the same notebook stands for them all."""
    for name, row in metrics(stem, profile).items():
        if "above" in row:
            assert row["low"] > metrics(stem, profile)[row["above"]]["high"], name


def test_on_the_synthetic_world_oracle_beats_mvae_beats_popularity():
    """Paired 95 % intervals, with the quick settings of chapter 6."""
    own = run.chapters()["06-mvae"]["quick"]
    log = vr.load("synthetic")
    for protocol in (vr.protocols.LIANG_2018, vr.protocols.SACHDEVA_2019):
        split = protocol(log, n_heldout=own["n_heldout"])
        mvae = vr.models.MVAE(split.n_items, hidden_dims=own["hidden_dims"],
                              latent_dim=own["latent_dim"])
        models = [vr.models.Oracle(log), mvae, vr.models.Popularity(split.n_items)]
        for model in models:
            vr.fit(model, split, max_epochs=own["max_epochs"], batch_size=own["batch_size"])
        oracle, mvae, popularity = (vr.evaluate(model, split.test) for model in models)
        assert vr.compare(oracle, mvae, "ndcg@100").low > 0
        assert vr.compare(mvae, popularity, "ndcg@100").low > 0


@pytest.fixture(scope="module")
def reruns() -> pd.DataFrame:
    """The runs behind chapter 9: a row a way of asking."""
    return pd.read_csv(run.ROOT / "benchmarks" / "detective.csv")


def test_what_chapter_9_says_of_the_collapsed_model_is_in_its_table(reruns):
    not_masked = reruns[~reruns["masked"]].groupby("variant").first()
    one_list, healthy = not_masked.loc["BLOG_2022 SVAE, beta 1"], not_masked.loc["BLOG_2022 SVAE"]
    assert one_list["coverage@100"] == pytest.approx(100 / 3124, abs=1e-6)
    assert one_list["gini_d@100"] == 1 and one_list["alarms"] == 2
    assert healthy["coverage@100"] > 5 * one_list["coverage@100"] and healthy["alarms"] == 0
    assert healthy["ndcg@100"] < one_list["ndcg@100"]  # "it ranks worse than the one list"
    assert abs(one_list["ndcg@100"] - 0.1765) < 0.01  # the blog's row


def test_what_chapter_9_says_of_bugs_is_in_the_tables(reruns, long_runs):
    rows = reruns.set_index(["variant", "masked", "seed"])["ndcg@100"]
    right = rows["LIANG_2018 MVAE", True, 0]
    assert (long_runs["noise .01"] > long_runs["LIANG_2018"]).all()  # the one that helps
    assert long_runs["averaged KL"].mean() < long_runs["LIANG_2018"].mean()
    assert rows["seen films score 0", False, 0] == right  # "costs nothing here"
    assert rows["LIANG_2018 MVAE", False, 0] < rows["z sampled when scoring", True, 0] < right - 0.03
    assert right > rows["beta climbs to 1 and drops", True, 0] > rows["z sampled when scoring", True, 0]


def test_what_chapter_11_says_of_a_step_is_in_its_table():
    table = pd.read_csv(run.ROOT / "benchmarks" / "step_costs.csv")
    table = table.set_index(["precision", "users", "items"]).sort_index().filter(regex="_ms$")
    assert len(table) == 20
    parts = table[["gather_ms", "hidden_ms", "output_ms", "adam_ms"]]
    share = parts.div(parts.sum(axis=1), axis=0)
    assert (share.idxmax(axis=1) == "output_ms").all()  # "and nothing takes their place"
    large, small = (share.xs(size, level="items") for size in (100_000, 1_000))
    assert large["output_ms"].min() > 0.5 and large["hidden_ms"].max() < 0.02
    assert (small["hidden_ms"] > 10 * large["hidden_ms"]).all()
    output = share["output_ms"].unstack("users")
    assert (output[50] < output[500]).all()
    # Past 32 MB small batches wait for fresh memory, and large pages mend it.
    wide, narrow = [35_000, 100_000], [1_000, 3_500, 10_000]
    pages = (table["large_pages_ms"] / table["step_ms"]).loc["float32", 50]
    assert pages[wide].max() < 0.75 and pages[narrow].min() > 0.9
    gain = table.loc["float32"] / table.loc["bfloat16"]
    assert gain.loc[500, "step_ms"].min() > 1.3 > 1.1 > gain.loc[50, "step_ms"][wide].max()
    assert (gain.loc[500, "step_ms"] > gain.loc[50, "step_ms"]).all()
    assert gain.loc[500, "output_ms"][3_500] > gain.loc[500, "output_ms"][wide].max()
    assert gain[["gather_ms", "adam_ms"]].stack().between(0.7, 1.3).all()
    assert (gain["large_pages_ms"] > gain["step_ms"]).unstack()[wide].all(axis=None)
