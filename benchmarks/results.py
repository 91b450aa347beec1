"""The book's headline numbers in one place: the table of the read-me and the page of results.

    python benchmarks/results.py      # renew the read-me; the page is made when the book is built

Every number is read from what the committed notebooks recorded and from the tables of long runs
beside this file; published.yaml holds what others reported.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import run  # noqa: E402 - a script of the notebooks' folder

from vaerec.evaluation import over_seeds  # noqa: E402

BASELINES = "02-ranking-metrics-and-baselines"
LISTS, DETECTIVE, TUNING = "08-beyond-accuracy", "09-a-detective-story", "10-tuning"
PROTOCOLS = {
    "liang": "`LIANG_2018`: random targets of users that training never saw",
    "sachdeva": "`SACHDEVA_2019`: the last films of users that training never saw",
    "blog": "`BLOG_2022`: random targets of known users",
    "metarec": "MetaRec's protocol: random targets of known users, every rating counts",
}
TARGETS = {"liang": "random", "sachdeva": "last in time"}  # of the protocols that the read-me shows


@dataclass(frozen=True)
class Row:
    """One model under one protocol, and where its numbers stand."""

    model: str
    protocol: str
    stem: str  # the notebook that recorded ...
    metric: str | None  # ... this name; None where only the table of seeds has the model
    seconds: str | None = None  # name of the recorded training time
    table: tuple[str, str] | None = None  # table of seeds and variant
    command: str | None = None  # that makes the table
    published: tuple[str, str] | None = None  # source and model in published.yaml


def _closed(model: str, key: str, protocol: str) -> Row:
    return Row(model, protocol, BASELINES, f"c02_{key}_{protocol}_ndcg@100")


ROWS = [
    _closed("popularity", "popularity", "liang"),
    _closed("EASE", "ease", "liang"),
    Row("Mult-DAE", "liang", "03-autoencoders", "c03_multdae_liang_ndcg@100", "c03_train_seconds"),
    Row("MVAE", "liang", "06-mvae", "c06_mvae_liang_ndcg@100", "c06_train_seconds",
        ("mvae_seeds.csv", "LIANG_2018"), "python benchmarks/mvae_seeds.py"),
    Row("MVAE, tuned", "liang", TUNING, None, table=("tuned.csv", "MVAE"),
        command="python benchmarks/tuning.py final MVAE"),
    _closed("popularity", "popularity", "sachdeva"),
    _closed("EASE", "ease", "sachdeva"),
    _closed("EASE, recent films weigh more", "ease_recent", "sachdeva"),
    Row("MVAE", "sachdeva", "06-mvae", "c06_mvae_sachdeva_ndcg@100", None,
        ("mvae_seeds.csv", "SACHDEVA_2019"), "python benchmarks/mvae_seeds.py", ("sachdeva_2019", "MVAE")),
    Row("SVAE", "sachdeva", "07-svae", "c07_svae_sachdeva_ndcg@100", "c07_train_seconds",
        ("svae_runs.csv", "SVAE"), "python benchmarks/svae_runs.py SVAE", ("sachdeva_2019", "SVAE")),
    Row("SVAE, tuned", "sachdeva", TUNING, None, table=("tuned.csv", "SVAE"),
        command="python benchmarks/tuning.py final SVAE"),
    Row("popularity", "blog", DETECTIVE, "c09_popularity_blog_ndcg@100"),
    Row("EASE", "blog", DETECTIVE, "c09_ease_blog_ndcg@100"),
    Row("MVAE", "blog", DETECTIVE, "c09_mvae_blog_ndcg@100", "c09_train_seconds",
        published=("blog_2022", "MVAE")),
    Row("popularity", "metarec", DETECTIVE, "c09_popularity_metarec_ndcg@100"),
    Row("EASE", "metarec", DETECTIVE, "c09_ease_metarec_ndcg@100"),
    Row("EASE, seen films not masked", "metarec", DETECTIVE, "c09_ease_metarec_unmasked_ndcg@100",
        published=("metarec", "EASE")),
]
# Of the lists that chapter 8 compares, those of models; its broken orders stay there.
LIST_MODELS = {"random": "random", "popularity": "popularity", "EASE": "ease", "Mult-DAE": "multdae",
               "MVAE": "mvae", "SVAE, which learnt another question": "svae"}
LIST_METRICS = ("coverage@100", "novelty@100", "gini@100", "overlap@100")


def seeds_of(row: Row) -> pd.Series | None:
    """mean, low, high and seeds of a row's long runs, if it has any."""
    if row.table is None:
        return None
    file, variant = row.table
    runs = pd.read_csv(ROOT / "benchmarks" / file)
    runs = runs[runs["variant"] == variant]
    if "masked" in runs:
        runs = runs[runs["masked"]]
    return over_seeds(runs, "ndcg@100").loc[variant]


def published() -> dict:
    """What others reported."""
    return yaml.safe_load((ROOT / "benchmarks" / "published.yaml").read_text(encoding="utf-8"))


def readme_block() -> str:
    """The Markdown between the two marks of the read-me."""
    data = run.recorded(run.read("06-mvae"))
    lines = [f"MovieLens-1M ({data['data']}), test NDCG@100, 750 held-out users:", "",
             *_head("model", "targets", "this run", "mean over seeds, 95 % interval", "computed by")]
    for row in ROWS:
        if row.protocol in TARGETS:
            values = run.recorded(run.read(row.stem))
            lines.append(_line(row.model, TARGETS[row.protocol], _value(row, values, 3), _interval(row),
                               _command(row)))
    return "\n".join(lines)


def page() -> str:
    """The tables of the page of results, in Markdown."""
    return "\n\n".join([*(_protocol_table(key) for key in PROTOCOLS), _list_table(), _time_table(),
                        _rivals_table(), _scaling_table(), _process_table(), _serving_table()])


def _protocol_table(protocol: str) -> str:
    lines = [f"## {PROTOCOLS[protocol]}", "",
             *_head("model", "test NDCG@100, this run", "mean over seeds, 95 % interval", "published",
                    "training seconds", "computed by")]
    made = set()
    for row in ROWS:
        if row.protocol == protocol:
            values = run.recorded(run.read(row.stem))
            seconds = f"{values[row.seconds]:,.0f}" if row.seconds else "-"
            lines.append(_line(row.model, _value(row, values, 4), _interval(row), _published(row),
                               seconds, _command(row)))
            made.add(_made_of(values))
    return "\n".join([*lines, "", *sorted(made)])


def _list_table() -> str:
    """What chapter 8 recorded of whole sets of lists."""
    values = run.recorded(run.read(LISTS))
    lines = ["## Beyond accuracy: `LIANG_2018`", "", *_head("model", "test NDCG@100", *LIST_METRICS)]
    for model, key in LIST_MODELS.items():
        cells = (values[f"c08_{key}_{name}"] for name in ("liang_ndcg@100", *LIST_METRICS))
        lines.append(_line(model, *(f"{value:.4f}" for value in cells)))
    source = f"One run each, `make notebooks PROFILE=full ONLY={LISTS}`. {_made_of(values)}"
    return "\n".join([*lines, "", source])


def _made_of(values: dict) -> str:
    return "MovieLens-1M, {data}, fingerprint `{fingerprint}`; {device}; {versions}.".format(**values)


def _time_table() -> str:
    """Training seconds beside the blog's; other hardware, so no ratio."""
    blog = published()["blog_2022"]
    lines = ["## Training time", "", *_head("model", "protocol", "ours", "the blog's")]
    for row in ROWS:
        if row.seconds and row.model in blog["results"]:
            values, theirs = run.recorded(run.read(row.stem)), blog["results"][row.model]
            lines.append(_line(row.model, PROTOCOLS[row.protocol].partition(":")[0],
                               f"{values[row.seconds]:,.0f} s on {values['device']}",
                               f"{theirs['seconds']:,.0f} s on {blog['hardware']}"))
    return "\n".join(lines)


def _rivals_table() -> str:
    """Speed and quality beside other libraries' models of the same size."""
    table = pd.read_csv(ROOT / "benchmarks" / "rivals.csv")
    lines = ["## Speed beside other libraries", ""]
    for (processor, threads), rows in table.groupby(["processor", "threads"], sort=False):
        unit = "CPU seconds" if threads == 1 else "seconds"
        lines += [f"{processor}, threads: {threads}", "",
                  *_head("model", f"{unit} an epoch", "times the faster rival's speed", "over its floor",
                         f"evaluation, {unit}", "peak MB", "test NDCG@100", "billions a second")]
        for _, row in rows.iterrows():
            lines.append(_line(row["method"], f"{row['epoch_seconds']:.2f}",
                               f"{row['epoch_times_faster']:.2f}", f"{row['epoch_over_floor']:.2f}",
                               f"{row['evaluation_seconds']:.2f}", f"{row['peak_mb']:,.0f}",
                               f"{row['ndcg@100']:.4f}", f"{row['gemm_billions_a_second']:.0f}"))
        lines.append("")
    source = (f"`LIANG_2018` of MovieLens-1M, {table['epochs'][0]} epochs, one seed. The floor is the time "
              "of the matrix products alone, at the multiply-adds a second of the last column, measured in "
              "the row's precision: not every processor that knows bfloat16 is faster in it. Rivals train on "
              "the held-out users' fold-in, too. RecBole's MultiVAE learns nearly without noise and KL term, "
              "as the script explains; so does the row of ours with its objective. "
              "`python benchmarks/rivals.py`.")
    lines += [source, "", *_head("model", "test NDCG@100, mean over seeds, 95 % interval")]
    seeds = over_seeds(pd.read_csv(ROOT / "benchmarks" / "rivals_seeds.csv"), "ndcg@100")
    lines += [_line(method, _mean(row)) for method, row in seeds.iterrows()]
    return "\n".join([*lines, "", "`python benchmarks/rivals.py --seeds 0 1`."])


def _scaling_table() -> str:
    """From a hundred thousand to a hundred million interactions."""
    table = pd.read_csv(ROOT / "benchmarks" / "scaling.csv")
    lines = ["## Size", "", *_head("interactions", "users", "items", "seconds a step", "minutes an epoch",
                                   "peak MB", "a dense matrix, MB")]
    for _, row in table.iterrows():
        minutes = row["steps"] * row["seconds_a_step"] / 60
        lines.append(_line(f"{row['interactions']:,}", f"{row['users']:,}", f"{row['items']:,}",
                           f"{row['seconds_a_step']:.2f}", f"{minutes:.1f}", f"{row['peak_mb']:,.0f}",
                           f"{row['dense_mb']:,.0f}"))
    source = (f"MVAE from shards, {table['threads'][0]} threads, generated data. Minutes are steps times the "
              "mean of 50 steps. `python benchmarks/scaling.py`.")
    return "\n".join([*lines, "", source])


def _process_table() -> str:
    """One process and two, on the same two cores."""
    table = pd.read_csv(ROOT / "benchmarks" / "processes.csv")
    lines = ["## Processes", "", *_head("items", "processes", "threads of each", "milliseconds a step",
                                        "times as fast", "MB of gradients sent")]
    for _, rows in table.groupby("items"):
        for row in rows.to_dict("records"):
            faster = rows["milliseconds"].iloc[0] / row["milliseconds"]
            lines.append(_line(f"{row['items']:,}", f"{row['processes']}", f"{row['threads']}",
                               f"{row['milliseconds']:.0f}", f"{faster:.2f}", f"{row['sent_mb']:.0f}"))
    source = (f"A step of MVAE with {table['users_a_batch'][0]} users in all, on one machine with "
              f"{table['cores'][0]} cores; the processes average their gradients by gloo. "
              "`python benchmarks/processes.py`.")
    return "\n".join([*lines, "", source])


def _serving_table() -> str:
    """A recommendation for one user, and for many at once."""
    table = pd.read_csv(ROOT / "benchmarks" / "serving.csv")
    lines = ["## Serving", "", *_head("model", "users at once", "run by", "milliseconds", "users a second")]
    for _, row in table.iterrows():
        lines.append(_line(row["model"], f"{row['users']}", row["runtime"], f"{row['milliseconds']:.2f}",
                           f"{row['users_per_second']:,}"))
    source = (f"3,500 items, the best 100 unseen ones, threads: {table['threads'][0]}. "
              "`python benchmarks/serving.py`.")
    return "\n".join([*lines, "", source])


def _head(*columns: str) -> list[str]:
    return [_line(*columns), _line(*["---"] * len(columns))]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _value(row: Row, values: dict, digits: int) -> str:
    return "-" if row.metric is None else f"{values[row.metric]:.{digits}f}"


def _interval(row: Row) -> str:
    seeds = seeds_of(row)
    return "-" if seeds is None else _mean(seeds)


def _mean(seeds: pd.Series) -> str:
    return f"{seeds['mean']:.4f} [{seeds['low']:.4f}, {seeds['high']:.4f}], {seeds['seeds']:.0f} seeds"


def _published(row: Row) -> str:
    if row.published is None:
        return "-"
    source, model = row.published
    entry = published()[source]
    return f"[{entry['results'][model]['ndcg@100']:.4f}]({entry['url']})"


def _command(row: Row) -> str:
    notebook = f"`make notebooks PROFILE=full ONLY={row.stem}`"
    return f"{notebook}; seeds: `{row.command}`" if row.command else notebook


def updated(text: str) -> str:
    """The read-me with its results block renewed."""
    return re.sub(r"(<!-- results:begin -->\n).*?(<!-- results:end -->)",
                  lambda mark: f"{mark[1]}{readme_block()}\n{mark[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(updated(readme.read_text(encoding="utf-8")), encoding="utf-8")
