"""The command line does what the functions do, keeps it in a folder, and ends in one line when it cannot."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import vaerec as vr
from vaerec import commands
from vaerec.__main__ import main
from vaerec.datasets.logs import load_log
from vaerec.datasets.synthetic import make_world
from vaerec.schedules import SCHEDULES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import results  # noqa: E402 - a script of that folder
import tuning  # noqa: E402

CONFIGS = sorted((ROOT / "benchmarks" / "configs").glob("*.yaml"))
SMALL = ["--data.options", "{n_users: 400, n_items: 200}", "--data.protocol_options", "{n_heldout: 60}"]
MVAE = ["--hyper_parameters", "{hidden_dims: [20], latent_dim: 5, beta: 0.2}",
        "--training.batch_size", "100", "--training.max_epochs"]


def fit(run: Path, *more: str) -> None:
    main(["fit", "--run", str(run), *SMALL, *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mvae"
    fit(folder, *MVAE, "2")
    return folder


def test_fit_gives_the_model_that_vr_fit_gives(run, world_split):
    model = vr.models.MVAE(world_split.n_items, hidden_dims=(20,), latent_dim=5, beta=0.2)
    history = vr.fit(model, world_split, max_epochs=2, batch_size=100)
    own = vr.models.MVAE.load(run / "model.safetensors")
    histories = world_split.test.fold_in[:5]
    assert own.scores(histories).equal(model.scores(histories))
    column = "validation_ndcg@100"
    assert pd.read_csv(run / "history.csv")[column].tolist() == pytest.approx(history[column].tolist())


def test_evaluate_prints_and_keeps_the_metrics_of_the_part(run, world_split, capsys):
    main(["evaluate", "--run", str(run), "--ks", "[10, 50]", "--part", "validation"])
    model = vr.models.MVAE.load(run / "model.safetensors")
    expected = vr.evaluate(model, world_split.validation, ks=(10, 50))
    kept = pd.read_csv(run / "validation.csv", index_col="metric")
    assert kept.loc["ndcg@50", "mean"] == pytest.approx(expected["ndcg@50"])
    assert f"{expected['ndcg@50']:.4f}" in capsys.readouterr().out
    main(["evaluate", "--run", str(run), "--ks", "[50]", "--part", "validation", "--mask", "false"])
    unmasked = vr.evaluate(model, world_split.validation, ks=(50,), mask=False)["ndcg@50"]
    kept_too = pd.read_csv(run / "validation-unmasked.csv", index_col="metric")
    assert kept_too.loc["ndcg@50", "mean"] == pytest.approx(unmasked)
    assert kept.loc["ndcg@50", "mean"] > unmasked


def test_a_log_that_does_not_fit_becomes_shards_and_a_run(world, tmp_path, capsys):
    source, folder, run = tmp_path / "log.parquet", tmp_path / "shards", tmp_path / "run"
    pd.DataFrame({"user": world.user_ids[world.user], "item": world.item_ids[world.item],
                  "timestamp": world.timestamp}).to_parquet(source)
    main(["shard", "--source", str(source), "--folder", str(folder), "--n_heldout", "60"])
    assert "in 8 shards" in capsys.readouterr().out
    main(["fit", "--run", str(run), "--data.source", str(folder), *MVAE, "2"])
    main(["evaluate", "--run", str(run), "--ks", "[10]"])
    split, model = vr.shards.read(folder), vr.models.MVAE.load(run / "model.safetensors")
    kept = pd.read_csv(run / "test.csv", index_col="metric")
    assert kept.loc["ndcg@10", "mean"] == pytest.approx(vr.evaluate(model, split.test, ks=(10,))["ndcg@10"])
    with pytest.raises(SystemExit, match="which are split already"):
        main(["fit", "--run", str(run), *SMALL, "--data.source", str(folder)])


def test_recommend_answers_users_of_a_file_with_their_own_ids(run, world_split, tmp_path):
    ids = world_split.item_ids
    log = pd.DataFrame({"user": ["zoe", "zoe", "abe"], "item": ids[[3, 8, 5]], "timestamp": [2, 1, 7]})
    log.to_csv(tmp_path / "log.csv", index=False)
    main(["recommend", "--run", str(run), "--histories", str(tmp_path / "log.csv"), "--k", "4",
          "--output", str(tmp_path / "lists.csv")])
    lists = pd.read_csv(tmp_path / "lists.csv")
    expected = vr.models.MVAE.load(run / "model.safetensors").recommend([[ids[8], ids[3]]], 4, item_ids=ids)
    assert lists.loc[lists["user"] == "zoe", "item"].tolist() == expected["item"].tolist()
    assert lists["user"].value_counts().to_dict() == {"zoe": 4, "abe": 4}


def test_a_killed_run_goes_on_where_it_was(run, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    with monkeypatch.context() as patch:
        # The first run ends after its first epoch, before the model is written.
        patch.setattr("vaerec.loop._Record.on_train_epoch_start", killed_in_epoch(1, Killed))
        with pytest.raises(Killed):
            fit(tmp_path / "cut", *MVAE, "2")
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    with pytest.raises(SystemExit, match="no finished run"):
        main(["evaluate", "--run", str(tmp_path / "cut")])
    fit(tmp_path / "cut", *MVAE, "2")
    whole = vr.models.MVAE.load(run / "model.safetensors").state_dict()
    for name, weights in vr.models.MVAE.load(tmp_path / "cut" / "model.safetensors").state_dict().items():
        assert weights.equal(whole[name])


def killed_in_epoch(epoch: int, error: type[Exception]):
    from vaerec.loop import _Record
    begin = _Record.on_train_epoch_start

    def start(self, trainer, task):
        if trainer.current_epoch == epoch:
            raise error
        begin(self, trainer, task)

    return start


@pytest.mark.parametrize("more, message", [
    (["--model", "EASY"], "model='EASY': expected one of EASE, MVAE"),
    (["--model", "Oracle"], "model='Oracle': expected one of"),
    (["--model", "EASE", "--hyper_parameters", "{l3: 1}"], "hyper_parameters=.*'l3'"),
    (["--model", "EASE", "--hyper_parameters", "{l2: -1}"], "l2=-1"),
    (["--data.protocol", "LYING_2018"], "protocol='LYING_2018': expected one of"),
    (["--data.protocol", "BLOG_2022"], "protocol_options=.*'n_heldout'"),
    (["--data.source", "log.xyz"], "unknown data set 'log.xyz'"),
    (["--training.max_epochs", "0"], "max_epochs=0"),
])
def test_a_wrong_value_ends_in_one_line(more, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        fit(tmp_path / "run", *more)


def test_a_folder_belongs_to_one_run(run):
    with pytest.raises(SystemExit, match="holds another run"):
        fit(run, "--model", "EASE")


def test_an_unknown_item_is_named_or_skipped(run, world_split, tmp_path):
    pd.DataFrame({"user": [1, 1], "item": [world_split.item_ids[0], 10**6]}).to_csv(tmp_path / "log.csv")
    command = ["recommend", "--run", str(run), "--histories", str(tmp_path / "log.csv"),
               "--output", str(tmp_path / "lists.csv")]
    with pytest.raises(SystemExit, match=r"item 1000000 \(int\) .* not in the catalogue"):
        main(command)
    assert not (tmp_path / "lists.csv").exists()
    main([*command, "--on_unknown", "skip"])
    assert len(pd.read_csv(tmp_path / "lists.csv")) == 10


@pytest.fixture(scope="module")
def run_with_text_ids(world, tmp_path_factory) -> Path:
    """Popularity, trained on a log in which some ids of items are words."""
    folder = tmp_path_factory.mktemp("text")
    item = pd.Series(world.item_ids[world.item].astype(str)).where(world.item > 2, "sku-" + pd.Series(
        world.item.astype(str)))
    pd.DataFrame({"user": world.user_ids[world.user], "item": item}).to_csv(folder / "log.csv", index=False)
    main(["fit", "--run", str(folder / "run"), "--model", "Popularity", "--data.source",
          str(folder / "log.csv"), "--data.protocol_options", "{n_heldout: 60}"])
    return folder / "run"


def recommended(run: Path, items: list, folder: Path, *more: str) -> list[str]:
    """Items for one user with these, as they stand in the file that is written."""
    pd.DataFrame({"user": 1, "item": items}).to_csv(folder / "log.csv", index=False)
    main(["recommend", "--run", str(run), "--histories", str(folder / "log.csv"),
          "--output", str(folder / "lists.csv"), *more])
    return pd.read_csv(folder / "lists.csv", dtype=str)["item"].tolist()


def test_ids_mean_the_same_whatever_else_stands_in_the_file(run, run_with_text_ids, world_split, tmp_path):
    numbers = world_split.item_ids[[3, 8]].tolist()
    alone = recommended(run, numbers, tmp_path)
    assert recommended(run, [*numbers, "new-sku"], tmp_path, "--on_unknown", "skip") == alone
    with pytest.raises(SystemExit, match=r"item 'new-sku' \(str\) .* not in the catalogue"):
        recommended(run, [*numbers, "new-sku"], tmp_path)
    both = recommended(run_with_text_ids, ["sku-0", numbers[0]], tmp_path)
    assert len(both) == 10 and not {"sku-0", str(numbers[0])} & set(both)
    only_numbers = recommended(run_with_text_ids, numbers, tmp_path)
    assert len(only_numbers) == 10 and not set(map(str, numbers)) & set(only_numbers)


def test_histories_with_other_columns_and_repeated_rows(run, world_split, tmp_path):
    known = world_split.item_ids[[3, 8, 3]]
    log = pd.DataFrame({"customer": "zoe", "sku": known, "when": [1, 2, 3]})
    log.to_csv(tmp_path / "log.csv", index=False, sep=";")
    command = ["recommend", "--run", str(run), "--histories", str(tmp_path / "log.csv"), "--output",
               str(tmp_path / "lists.csv"), "--user", "customer", "--item", "sku", "--timestamp", "when",
               "--options", "{separator: ;}"]
    with pytest.raises(SystemExit, match="repeats user zoe .* duplicates='first' or"):
        main(command)
    main([*command, "--duplicates", "last"])
    lists = pd.read_csv(tmp_path / "lists.csv")
    model = vr.models.MVAE.load(run / "model.safetensors")
    assert lists["item"].tolist() == model.recommend([known])["item"].tolist()
    with pytest.raises(SystemExit, match="options=.*'separater'"):
        main([*command[:-1], "{separater: ;}"])


def test_a_run_of_a_version_whose_models_did_not_know_their_items(tmp_path):
    saved = Path(__file__).with_name("saved")
    expected = json.loads((saved / "expected.json").read_text())["words"]
    (tmp_path / "model.safetensors").write_bytes((saved / "words.safetensors").read_bytes())
    (tmp_path / "settings.json").write_text(json.dumps({"model": "MVAE"}))
    pd.DataFrame({"item": expected["item_ids"]}).to_parquet(tmp_path / "items.parquet", index=False)
    best = [item for item, user in zip(expected["item"], expected["user"]) if user == 0][:10]
    assert recommended(tmp_path, expected["histories"][0], tmp_path) == best


def behind_options() -> dict[str, set[str]]:
    """Each command's options, by their last name, with those that a dict is passed on to."""
    def names(function) -> set[str]:
        return set(inspect.signature(function).parameters)

    files = names(load_log)
    made = files | names(make_world) | names(commands.Data) | names(commands.Training) | set().union(
        *(names(getattr(vr.protocols, name)) for name in commands.PROTOCOLS),
        *(names(getattr(vr.models, name)) for name in commands.MODELS), *map(names, SCHEDULES.values()))
    return {"fit": names(commands.fit) | made, "evaluate": names(commands.evaluate) | made,
            "recommend": names(commands.recommend) | files, "shard": names(commands.shard)}


# What these name cannot happen on the command line: it hands them over itself, or has no such call.
ONLY_IN_PYTHON = {"users", "item_ids", "n_interactions", "n_clusters", "chunk", "history",
                  "margin", "epochs", "n_folds"}


def test_every_option_that_a_message_names_is_one():
    options = behind_options()
    every, package = set().union(*options.values()), Path(vr.__file__).parent
    named = set()
    for path in package.rglob("*.py"):
        if "exercises" in path.parts or path.stem in ("plotting", "provenance"):
            continue
        raised = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise)]
        texts = [node.value for one in raised for node in ast.walk(one)
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        named |= set(re.findall(r"(?<![\w.])([a-z_]+)=", " ".join(texts)))
        named |= {option.rpartition(".")[2] for option in re.findall(r"--([a-z_.]+)", " ".join(texts))}
    assert named >= {"duplicates", "on_unknown", "lr", "n_heldout"}
    assert named - every - ONLY_IN_PYTHON == set()
    assert {"duplicates", "on_unknown", "user", "item"} <= options["recommend"]  # what its own errors name


def test_a_run_says_what_it_was_and_is_not_overwritten_by_another(tmp_path):
    fit(tmp_path, "--model", "EASE", "--hyper_parameters", "{l2: 10}", "--training.seed", "3")
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["hyper_parameters"]["l2"] == 10 and settings["training"]["seed"] == 3
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1
    model = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(SystemExit, match="has other hyper_parameters"):
        fit(tmp_path, "--model", "EASE", "--hyper_parameters", "{l2: 99}", "--training.seed", "3")
    assert (tmp_path / "model.safetensors").read_bytes() == model


@pytest.mark.process
def test_torchrun_trains_one_run_with_two_processes(run, tmp_path):
    page = (ROOT / "book" / "running.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^torchrun (--standalone .* fit) --config \S+ --run \S+$", page, re.MULTILINE)
    command = [sys.executable, "-m", "torch.distributed.run", *shown.split(), "--run", str(tmp_path), *SMALL,
               *MVAE, "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("the model is in") == 1
    ours, theirs = (pd.read_csv(folder / "history.csv")["loss"] for folder in (tmp_path, run))
    # Dropout and noise are others than those of one process.
    np.testing.assert_allclose(ours, theirs, rtol=0.02)
    main(["evaluate", "--run", str(tmp_path), "--ks", "[10]"])


@pytest.mark.process
def test_it_runs_as_a_module(tmp_path):
    command = [sys.executable, "-m", "vaerec", "fit", "--run", str(tmp_path), "--model", "Nothing"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "error: model='Nothing'" in done.stderr and "Traceback" not in done.stderr


def test_every_row_of_the_results_has_a_file():
    models = {"EASE, recent films weigh more": "ease-recent", "EASE, seen films not masked": "ease",
              "Mult-DAE": "multdae", "MVAE, tuned": "mvae-tuned", "SVAE, tuned": "svae-tuned"}
    rows = {f"{models.get(row.model, row.model.lower())}-{row.protocol}" for row in results.ROWS}
    assert rows == {path.stem for path in CONFIGS}


@pytest.mark.parametrize("name", ["mvae-tuned-liang", "svae-tuned-sachdeva"])
def test_a_tuned_row_is_the_best_trial(name):
    config = yaml.safe_load((CONFIGS[0].parent / f"{name}.yaml").read_text())
    name, training = config["model"], config["training"]
    search = tuning.SEARCHES[name.lower()]
    settings = tuning.winner(name, pd.read_csv(tuning.TABLE))
    for key in tuning.FIT:
        assert training[key] == pytest.approx(settings.pop(key), rel=1e-12)
    settings |= {key: int(settings[key]) for key in ("hidden", "rnn", "latent") if key in settings}
    model = commands._make(name, {"n_items": 30, **config["hyper_parameters"]})
    assert model.hyper_parameters() == search.make(30, **settings).hyper_parameters()
    assert training["max_epochs"] == tuning.FINAL_EPOCHS[name] and training["patience"] == 20
    assert training.get("precision", "32-true") == search.precision
    assert config["data"]["protocol"] == search.protocol


@pytest.mark.parametrize("path", [path for path in CONFIGS if "tuned" not in path.stem],
                         ids=lambda path: path.stem)
def test_a_published_row_is_what_its_chapter_does(path):
    config = yaml.safe_load(path.read_text())
    profiles = yaml.safe_load((ROOT / "notebooks" / "profiles.yaml").read_text())
    model = commands._make(config["model"], {"n_items": 30, **config.get("hyper_parameters", {})})
    chapter = {"Popularity": "02-ranking-metrics-and-baselines", "EASE": "02-ranking-metrics-and-baselines",
               "MultDAE": "03-autoencoders", "MVAE": "06-mvae", "SVAE": "07-svae"}[config["model"]]
    of_nine = config["data"]["protocol"] in ("BLOG_2022", "weak_generalization")
    full = profiles["09-a-detective-story" if of_nine else chapter]["full"]
    assert config["data"]["source"] == full["data"]
    closed = config["model"] in ("Popularity", "EASE")
    for name in ("max_epochs", "batch_size"):
        assert config.get("training", {}).get(name) == (None if closed else full.get(name))
    settings = model.hyper_parameters()
    if config["model"] == "EASE":
        recent = settings["recency"] is not None
        assert settings["l2"] == full["recency_l2" if recent else "ease_l2" if of_nine else "l2"]
        assert settings["recency"] == (full["recency"] if recent else None)
    for name in ("hidden_dims", "latent_dim", "rnn_dim", "embedding_dim"):
        if name in full and not closed:
            assert settings[name] == full[name]


def test_the_configuration_of_ease_gives_the_published_value(ml_1m, tmp_path):
    config = ROOT / "benchmarks" / "configs" / "ease-liang.yaml"
    main(["fit", "--config", str(config), "--run", str(tmp_path)])
    main(["evaluate", "--run", str(tmp_path)])
    ranges = yaml.safe_load((ROOT / "tests" / "notebooks" / "ranges.yaml").read_text())
    expected = ranges["02-ranking-metrics-and-baselines"]["full"]["metrics"]["c02_ease_liang_ndcg@100"]
    kept = pd.read_csv(tmp_path / "test.csv", index_col="metric")
    assert kept.loc["ndcg@100", "mean"] == pytest.approx(expected["mean"], abs=1e-4)
