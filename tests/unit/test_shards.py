"""Splits in shards: the same data, the same batches for any number of processes, and clear faults."""

import hashlib
import itertools
import json
import os
import sys

import lightning as L
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import vaerec as vr
from tests.conftest import random_log
from vaerec.shards import ShardBatches
from vaerec.shards.storage import MANIFEST


@pytest.fixture(scope="module")
def folder(world_split, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "world"
    vr.shards.write(world_split, folder, n_shards=40)
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    """A folder to damage."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def histories(bags) -> set[tuple]:
    return {tuple(bags.items[a:b].tolist()) for a, b in itertools.pairwise(bags.offsets)}


def small(split, **options):
    return vr.models.MVAE(split.n_items, hidden_dims=(16,), latent_dim=4, **options)


def seal(folder, name: str, **changes) -> None:
    """Write the checksum of a changed shard into the manifest, as another program would that wrote it."""
    manifest = json.loads((folder / MANIFEST).read_text())
    about = next(shard for shard in manifest["shards"] if shard["file"] == name)
    about |= {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} | changes
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_split_comes_back(world_split, folder):
    split = vr.shards.read(folder)
    assert (split.name, split.targets, split.catalogue) == (
        world_split.name, world_split.targets, world_split.catalogue)
    assert (split.train.n_users, len(split.train)) == (world_split.train.n_users, len(world_split.train))
    pd.testing.assert_frame_equal(split.train.items, world_split.train.items, check_dtype=False)
    pd.testing.assert_frame_equal(split.describe(), world_split.describe())
    for part in ("validation", "test"):
        ours, theirs = getattr(split, part), getattr(world_split, part)
        np.testing.assert_array_equal(ours.user_ids, theirs.user_ids)
        np.testing.assert_array_equal(ours.item_counts, theirs.item_counts)
        assert (ours.n_train_users, ours.catalogue) == (theirs.n_train_users, theirs.catalogue)
        for name in ("fold_in", "targets"):
            for own, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
                np.testing.assert_array_equal(own, other)
    users = set.union(*(histories(split.train.bags(number)) for number in range(40)))
    assert users == {tuple(history.tolist()) for history in world_split.train.sequences()}


def test_the_fingerprint_is_that_of_the_content(world, world_split, folder, tmp_path):
    same = vr.shards.write(world_split, tmp_path / "same", n_shards=40)
    assert same.train.fingerprint == vr.shards.read(folder).train.fingerprint
    other = vr.protocols.LIANG_2018(world, n_heldout=59)
    assert vr.shards.write(other, tmp_path / "other", n_shards=40).train.fingerprint != same.train.fingerprint


@pytest.mark.parametrize("batch_size", [3, 16, 93, 1000])
@pytest.mark.parametrize("in_order", [False, True])
def test_an_epoch_is_all_users_once_in_whole_batches(folder, batch_size, in_order):
    train = vr.shards.read(folder).train
    batches = ShardBatches(train, batch_size, seed=1, in_order=in_order)
    epoch = list(batches)
    assert len(epoch) == len(batches)
    sizes = [bags.n_users for bags in epoch]
    assert sum(sizes) == train.n_users and sum(len(bags.items) for bags in epoch) == len(train)
    kept = (train.bags(n) if in_order else train.bags(n).once() for n in range(40))
    assert set.union(*map(histories, epoch)) == set.union(*map(histories, kept))
    # 7 users in each shard, 35 in each lane: lanes end within a user of each other.
    assert all(size == batch_size for size in sizes[:-2])


def test_an_epoch_is_a_function_of_seed_and_epoch(folder):
    train = vr.shards.read(folder).train

    def items(seed, epoch):
        batches = ShardBatches(train, 50, seed)
        batches.epoch = epoch
        return torch.cat([bags.items for bags in batches])

    first = items(0, 0)
    assert torch.equal(first, items(0, 0))
    assert not torch.equal(first, items(0, 1)) and not torch.equal(first, items(1, 0))


@pytest.mark.parametrize("in_order", [False, True])
def test_processes_share_the_batches_of_one(folder, in_order):
    train = vr.shards.read(folder).train
    whole = ShardBatches(train, 93, seed=4, in_order=in_order)
    shares = [ShardBatches(train, 93, 4, in_order, rank, 4) for rank in range(4)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert histories(batch) == set.union(*map(histories, parts))
        assert batch.n_users == sum(part.n_users for part in parts)


def test_a_process_reads_its_own_shards_only(copy):
    for number in range(1, 40, 2):
        (copy / f"shard-{number:05d}.parquet").unlink()
    train = vr.shards.read(copy).train
    assert sum(bags.n_users for bags in ShardBatches(train, 20, 0, rank=0, n_ranks=2)) == 140
    with pytest.raises(FileNotFoundError, match="shard-00001.parquet is missing"):
        ShardBatches(train, 20, 0, rank=1, n_ranks=2)


def test_similar_lengths_meet_where_padding_costs(world_split, tmp_path):
    train = vr.shards.write(world_split, tmp_path / "few", n_shards=2, lanes=2).train

    def padding(in_order):
        batches = list(ShardBatches(train, 16, 0, in_order))
        cells = sum(int(bags.lengths().max()) * bags.n_users for bags in batches)
        return 1 - len(train) / cells

    assert padding(True) < 0.6 * padding(False)


def test_training_from_shards_learns_what_training_from_memory_learns(world_split, folder):
    split = vr.shards.read(folder)
    options = {"max_epochs": 12, "batch_size": 40, "lr": 5e-3}
    ours, theirs = (vr.fit(small(s), s, **options)["validation_ndcg@100"].max() for s in (split, world_split))
    untrained = vr.fit(small(split), split, max_epochs=1, batch_size=40, lr=1e-6)["validation_ndcg@100"].max()
    assert ours == pytest.approx(theirs, abs=0.02)
    assert ours > untrained + 0.1


def test_svae_trains_from_shards(folder):
    split = vr.shards.read(folder)
    model = vr.models.SVAE(split.n_items, embedding_dim=12, rnn_dim=9, hidden_dims=(8,), latent_dim=4)
    history = vr.fit(model, split, max_epochs=3)
    assert history["loss"].is_monotonic_decreasing


def test_ease_gets_all_rows(world_split, folder):
    split = vr.shards.read(folder)
    models = [vr.models.EASE(split.n_items) for _ in range(2)]
    for model, source in zip(models, (split, world_split), strict=True):
        vr.fit(model, source)
    ours, theirs = (model.scores(split.test.fold_in) for model in models)
    torch.testing.assert_close(ours, theirs)


def test_more_processes_than_lanes_can_serve(folder):
    with pytest.raises(ValueError, match="3 processes cannot share 8 lanes"):
        ShardBatches(vr.shards.read(folder).train, 10, 0, rank=0, n_ranks=3)


def test_no_folder_of_shards(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no shards.json in .*cut off"):
        vr.shards.read(tmp_path)


def test_a_folder_that_is_in_use(world_split, folder):
    with pytest.raises(ValueError, match="is not empty"):
        vr.shards.write(world_split, folder)


def test_shards_that_do_not_fill_the_lanes(world_split, tmp_path):
    with pytest.raises(ValueError, match="n_shards=12, lanes=8"):
        vr.shards.write(world_split, tmp_path / "twelve", n_shards=12)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "vaerec-shards-9"}'])
def test_a_manifest_that_cannot_be_read(copy, content):
    (copy / MANIFEST).write_text(content)
    with pytest.raises(ValueError, match="write the shards again"):
        vr.shards.read(copy)


@pytest.mark.parametrize("name", ["items.parquet", "test.parquet"])
def test_a_lost_or_damaged_file_of_the_split(copy, name):
    file = copy / name
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{name} is truncated or changed"):
        vr.shards.read(copy)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        vr.shards.read(copy)


def test_a_missing_shard_is_told_before_training(copy):
    (copy / "shard-00037.parquet").unlink()
    split = vr.shards.read(copy)
    with pytest.raises(FileNotFoundError, match="shard-00037.parquet is missing"):
        vr.fit(small(split), split, max_epochs=1)


def test_faults_in_the_middle_of_a_run_leave_the_checkpoint(copy, tmp_path_factory):
    """A shard is cut off after the first epoch; mended, the run ends as if nothing had been."""
    split, run = vr.shards.read(copy), tmp_path_factory.mktemp("run")
    shard = copy / "shard-00037.parquet"
    whole = shard.read_bytes()

    class CutOff(L.Callback):
        def on_train_epoch_end(self, trainer, task):
            shard.write_bytes(whole[:len(whole) // 2])

    options = {"max_epochs": 3, "batch_size": 40, "resume": run}
    with pytest.raises(ValueError, match="shard-00037.parquet is truncated or changed"):
        vr.fit(small(split), split, callbacks=[CutOff()], **options)
    assert len(pd.read_csv(run / "history.csv")) == 1
    shard.write_bytes(whole)
    resumed = vr.fit(small(split), split, **options)
    expected = vr.fit(small(split), split, **options | {"resume": None})
    columns = ["loss", "validation_ndcg@100"]
    pd.testing.assert_frame_equal(resumed[columns], expected[columns], check_exact=True)


@pytest.mark.parametrize("item", [200, -1])
def test_an_item_beyond_the_catalogue(copy, item):
    name = "shard-00037.parquet"
    users = pq.read_table(copy / name)["items"].to_pylist()
    users[3][0] = item
    pq.write_table(pa.table({"items": pa.array(users, pa.list_(pa.int32()))}), copy / name)
    seal(copy, name)
    split = vr.shards.read(copy)
    with pytest.raises(ValueError, match=rf"{name} holds item {item}, which is not in \[0, 200\)"):
        vr.fit(small(split), split, max_epochs=1)


def test_a_shard_with_other_users_than_the_manifest_says(copy):
    seal(copy, "shard-00037.parquet", users=8)
    with pytest.raises(ValueError, match="shard-00037.parquet holds 7 users .* 8 and"):
        vr.shards.read(copy).train.bags(37)


def test_a_shard_that_is_no_parquet_file(copy):
    (copy / "shard-00037.parquet").write_text("items\n1\n")
    seal(copy, "shard-00037.parquet")
    with pytest.raises(ValueError, match="shard-00037.parquet is not a Parquet file"):
        vr.shards.read(copy).train.bags(37)


# -- from files --------------------------------------------------------------------------------


def parquet(log: vr.Interactions, folder, n_files: int = 3):
    """Rows in random order."""
    frame = pd.DataFrame({"user": log.user_ids[log.user], "item": log.item_ids[log.item],
                          "rating": log.rating, "timestamp": log.timestamp}).sample(frac=1, random_state=0)
    folder.mkdir()
    for number in range(n_files):
        frame[number::n_files].to_parquet(folder / f"{number}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def mixed_log():
    return random_log(3, n_users=300, n_items=60)


def raw_histories(split) -> dict[str, set]:
    """Each part's histories as tuples of raw ids, oldest first."""
    train = set.union(*(histories(split.train.bags(n)) for n in range(split.train.n_shards)))
    parts = {"train": train, "validation": split.validation.fold_in, "test": split.test.fold_in}
    return {part: {tuple(split.item_ids[list(h)]) for h in own if len(h)} for part, own in parts.items()}


@pytest.mark.parametrize("targets", ["random", "temporal"])
def test_files_are_split_as_in_memory(mixed_log, tmp_path, targets):
    source = parquet(mixed_log, tmp_path / "source")
    split = vr.shards.from_files(source, tmp_path / "shards", n_heldout=40, min_rating=3, targets=targets,
                                 ties="file", n_shards=16)
    kept = mixed_log.filter(min_rating=3, min_user_items=5)
    user = dict(zip(kept.user_ids, (tuple(kept.item_ids[items]) for items in kept.sequences()), strict=True))
    held_out = [*split.validation.user_ids, *split.test.user_ids]
    assert len(set(held_out)) == 80 and set(held_out) < set(user)
    # Ties in time stay in file order, which the shuffled files do not keep: compare sets of items.
    ours = {frozenset(h) for h in raw_histories(split)["train"]}
    assert ours == {frozenset(h) for raw, h in user.items() if raw not in held_out}
    for raw, fold_in, hidden in zip(split.test.user_ids, split.test.fold_in, split.test.targets, strict=True):
        assert {*split.item_ids[fold_in], *split.item_ids[hidden]} == set(user[raw])
        assert len(hidden) == pytest.approx(0.2 * len(user[raw]), abs=1)
    counts = pd.Series([item for raw, h in user.items() if raw not in held_out for item in h]).value_counts()
    np.testing.assert_array_equal(split.test.item_counts, counts.sort_index())
    assert not list(tmp_path.glob("tmp*"))


def test_time_order_survives_the_dealing(tmp_path):
    users = [f"u{number}" for number in range(60)]
    frame = pd.DataFrame({"user": np.repeat(users, 6), "item": np.tile(list("abcdef"), 60)})
    source = tmp_path / "log.parquet"
    frame.to_parquet(source)  # without times: the file order is the time order
    split = vr.shards.from_files(source, tmp_path / "shards", n_heldout=5, n_shards=8)
    assert raw_histories(split)["train"] == {tuple("abcdef")}
    assert split.train.n_users == 50


def test_columns_may_have_other_names(mixed_log, tmp_path):
    source = parquet(mixed_log, tmp_path / "source", n_files=1) / "0.parquet"
    other = tmp_path / "other.parquet"
    pd.read_parquet(source).rename(columns=str.upper).to_parquet(other)
    names = {role: role.upper() for role in ("user", "item", "rating", "timestamp")}
    first, second = (vr.shards.from_files(log, tmp_path / log.stem, n_heldout=40, min_rating=3, **options)
                     for log, options in ((source, {}), (other, names)))
    assert first.train.fingerprint == second.train.fingerprint


def test_rare_items_disappear_for_everybody(mixed_log, tmp_path):
    source = parquet(mixed_log, tmp_path / "source")
    split = vr.shards.from_files(source, tmp_path / "shards", n_heldout=40, min_item_users=90, n_shards=8)
    assert 0 < split.n_items < 60
    assert split.test.item_counts.min() >= 90
    assert max(items.max() for items in split.test.fold_in + split.test.targets if len(items)) < split.n_items
    assert vr.fit(small(split), split, max_epochs=1)["loss"].notna().all()


def test_more_shards_than_users(tmp_path):
    source = parquet(random_log(0, n_users=20), tmp_path / "source")
    split = vr.shards.from_files(source, tmp_path / "shards", n_heldout=2, min_user_items=1, n_shards=64)
    assert sum(bags.n_users for bags in ShardBatches(split.train, 5, 0)) == split.train.n_users


def test_more_files_than_may_be_open_at_once(mixed_log, tmp_path):
    resource = pytest.importorskip("resource")
    source = parquet(mixed_log, tmp_path / "source", n_files=120)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 60, limits[1]))
    try:
        split = vr.shards.from_files(source, tmp_path / "shards", n_heldout=40, n_shards=8)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(split.train) > 0


def test_folders_above_the_new_one_are_made(mixed_log, tmp_path):
    source = parquet(mixed_log, tmp_path / "source")
    split = vr.shards.from_files(source, tmp_path / "new" / "shards", n_heldout=40)
    assert split.train.folder == tmp_path / "new" / "shards"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["shards"]


@pytest.mark.parametrize(("options", "message"), [
    ({"n_heldout": 200}, "takes 400 of the"), ({"n_heldout": 0}, "n_heldout=0"),
    ({"n_heldout": 5, "targets": "last"}, "targets='last'"),
    ({"n_heldout": 5, "n_shards": 1000}, "from 1 to 512")])
def test_wrong_parameters_of_from_files(mixed_log, tmp_path, options, message):
    source = parquet(mixed_log, tmp_path / "source")
    with pytest.raises(ValueError, match=message):
        vr.shards.from_files(source, tmp_path / "shards", **options)


@pytest.mark.parametrize(("options", "message"), [
    ({"n_shards": 12, "lanes": 8}, "n_shards=12, lanes=8"), ({"min_rating": 4}, "no column 'rating'"),
    ({"folder": "source"}, "is not empty")])
def test_what_cannot_come_to_an_end_is_refused_before_anything_is_dealt(mixed_log, tmp_path, monkeypatch,
                                                                        options, message):
    source = parquet(mixed_log, tmp_path / "source", n_files=1)
    log = pd.read_parquet(source / "0.parquet").rename(columns={"rating": "stars"})
    log.to_parquet(source / "0.parquet", index=False)
    monkeypatch.setattr(sys.modules["vaerec.shards.from_files"], "_deal", lambda *_: pytest.fail("dealt"))
    folder = tmp_path / options.pop("folder", "shards")
    with pytest.raises(ValueError, match=message):
        vr.shards.from_files(source, folder, n_heldout=40, **options)


def test_sources_that_cannot_be_read(mixed_log, tmp_path):
    def read(source):
        vr.shards.from_files(source, tmp_path / "shards", n_heldout=5)

    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read(tmp_path / "nothing.parquet")
    source = parquet(mixed_log, tmp_path / "source")
    file = source / "1.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    with pytest.raises(ValueError, match=r"1.parquet is not a Parquet file, or it is cut off"):
        read(source)
    pd.DataFrame({"user": [1], "item": [1]}).to_parquet(file)
    with pytest.raises(ValueError, match=r"1.parquet: no column 'rating'"):
        read(source)
    pd.DataFrame({"user": [1], "item": ["a"], "rating": 4.0, "timestamp": 3}).to_parquet(file)
    with pytest.raises(ValueError, match=r"1.parquet is cut off or damaged, or its columns differ"):
        read(source)
    pd.DataFrame({"who": [1], "item": ["a"]}).to_parquet(source / "0.parquet")
    with pytest.raises(ValueError, match=r"0.parquet: no column 'user'"):
        read(source)
    assert not (tmp_path / "shards").exists()


# -- the large world -----------------------------------------------------------------------------

SMALL_WORLD = {"n_users": 1000, "n_items": 500, "n_interactions": 40_000, "n_clusters": 10, "n_heldout": 100}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return vr.shards.make_large_world(tmp_path_factory.mktemp("large") / "shards", **SMALL_WORLD)


def test_a_large_world_has_the_size_that_was_asked_for(large):
    assert (large.train.n_users, large.n_items, len(large.test.user_ids)) == (1000, 500, 100)
    assert len(large.train) == pytest.approx(40_000, rel=0.06)
    bags = vr.batches.Bags.concatenate([large.train.bags(number) for number in range(8)])
    users = np.split(bags.items.numpy(), bags.offsets[1:-1].numpy())
    assert len(users) == 1000
    assert all(len(set(history)) == len(history) >= 5 for history in users)
    for shown, hidden in zip(large.test.fold_in, large.test.targets, strict=True):
        assert not set(shown) & set(hidden)
        assert len(shown) == int(0.8 * (len(shown) + len(hidden)))
    counts = np.bincount(np.concatenate(users), minlength=500)
    np.testing.assert_array_equal(large.test.item_counts, np.maximum(counts, 1))


def test_a_large_world_is_a_function_of_its_seed(large, tmp_path):
    again, other = (vr.shards.make_large_world(tmp_path / str(seed), **SMALL_WORLD, seed=seed)
                    for seed in (0, 1))
    assert again.train.fingerprint == large.train.fingerprint != other.train.fingerprint


def test_in_a_large_world_taste_beats_popularity(large):
    models = vr.models.EASE(large.n_items), vr.models.Popularity(large.n_items)
    ours, theirs = (vr.fit(model, large)["validation_ndcg@100"].item() for model in models)
    assert ours > theirs + 0.04


@pytest.mark.parametrize("change", [{"n_clusters": 60}, {"n_interactions": 3000}, {"n_interactions": 60_000}])
def test_a_large_world_that_cannot_be(tmp_path, change):
    with pytest.raises(ValueError, match="expected at least 10 items a cluster"):
        vr.shards.make_large_world(tmp_path / "no", **SMALL_WORLD | change)
