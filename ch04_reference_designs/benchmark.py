"""Averaged embeddings against TF-IDF and logistic regression, in the same run.

    python -m ch04_reference_designs.benchmark               # some two minutes
    python -m ch04_reference_designs.benchmark --limit 500   # a trial of the command
    python -m ch04_reference_designs.benchmark --save        # into benchmark.json, too

All learn from the same training reviews and are timed from the texts in memory to the
trained model, tokens and vocabulary included; then all are tested on the same test
reviews. The settings of both were tried out on these reviews, so a small difference
says nothing. Nothing else should run meanwhile. Without the real reviews it takes the
invented ones, and says so.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import sklearn
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ch01_intro.devices import pick_device, seed_everything
from ch03_deep_learning.training import evaluate, fit
from ch04_reference_designs.bags import BagLoader, Bags
from ch04_reference_designs.reviews import Reviews
from ch04_reference_designs.text_models import AveragedEmbedding
from ch04_reference_designs.vocabulary import Vocabulary, grams_of

RESULTS = Path(__file__).with_name("benchmark.json")  # what notebook 02 shows
Data = tuple[Sequence[str], Sequence[int]]  # texts, labels


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    name: str
    seconds: float  # of training, from the texts on
    accuracy: float  # on the test reviews, in [0, 1]


def averaged_embedding(data: Data, test: Data) -> Result:
    """Notebook 02's model: words and pairs, 32 numbers each, four epochs."""
    start = time.perf_counter()
    vocabulary = Vocabulary.build(map(grams_of, data[0]), min_count=3)
    bags = Bags.of(vocabulary.encode(grams_of(text)) for text in data[0])
    loader = BagLoader(bags, data[1], 64, shuffle=True)
    model, device, epochs = AveragedEmbedding(len(vocabulary)), pick_device(), 4
    adam = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    steps = epochs * len(loader)
    fit(
        model,
        loader,
        optimizer=adam,
        epochs=epochs,
        device=device,
        scheduler=torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, steps),
        progress=False,
    )
    seconds = time.perf_counter() - start
    tests = Bags.of(vocabulary.encode(grams_of(text)) for text in test[0])
    found = evaluate(model, BagLoader(tests, test[1], 500), device=device)
    return Result("EmbeddingBag, words and pairs", seconds, found["accuracy"])


def tfidf(name: str, test: Data, data: Data, strength: float, **options: Any) -> Result:
    """A vectorizer with `options`, then `LogisticRegression(C=strength)`."""
    start = time.perf_counter()
    vectorizer = TfidfVectorizer(**options)
    model = LogisticRegression(C=strength, max_iter=1000)
    model.fit(vectorizer.fit_transform(data[0]), data[1])
    seconds = time.perf_counter() - start
    accuracy = model.score(vectorizer.transform(test[0]), test[1])
    return Result(name, seconds, float(accuracy))


def tfidf_plain(data: Data, test: Data) -> Result:
    """As it comes, all defaults: single words."""
    return tfidf("TF-IDF + LogisticRegression, defaults", test, data, 1.0)


def tfidf_pairs(data: Data, test: Data) -> Result:
    """With what helps: pairs, counts on a log scale, less regularization."""
    options = {"ngram_range": (1, 2), "min_df": 3, "sublinear_tf": True}
    name = "TF-IDF + LogisticRegression, words and pairs"
    return tfidf(name, test, data, 10.0, **options)


CONTESTANTS: tuple[Callable[[Data, Data], Result], ...] = (
    averaged_embedding,
    tfidf_plain,
    tfidf_pairs,
)


def report(content: dict[str, Any]) -> str:
    """The table of what `main` measured, and who wins, in words.

    Two accuracies count as equal where they are closer than 1.96 standard errors of
    their difference, the two taken as independent.
    """
    results = [Result(**row) for row in content["results"]]
    width, n = max(len(r.name) for r in results), content["tested"]
    lines = [
        f"{content['data']}, {content['learned']:,} to learn from, {n:,} to test",
        f"measured {content['measured']} on {content['machine']}",
        "",
        f"{'':{width}s}  test accuracy  seconds",
    ]
    lines += [
        f"{r.name:{width}s}  {r.accuracy:13.1%}  {r.seconds:7.1f}" for r in results
    ]
    best, second = sorted(results, key=lambda r: r.accuracy, reverse=True)[:2]
    variance = sum(r.accuracy * (1 - r.accuracy) / n for r in (best, second))
    gap = best.accuracy - second.accuracy
    close = (
        ""
        if gap > 1.96 * variance**0.5
        else ",\n    which is no more than chance can do"
    )
    fastest = min(results, key=lambda r: r.seconds)
    return "\n".join(
        [
            *lines,
            "",
            f"most accurate: {best.name},",
            f"    {100 * gap:.1f} points ahead of {second.name}{close}",
            f"fastest: {fastest.name}",
        ]
    )


def load(path: Path | str = RESULTS) -> dict[str, Any]:
    """What was written with `--save`."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, help="LIMIT reviews of each label and set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args(argv)
    sets = [Reviews(train=train) for train in (True, False)]
    data, test = (shortened(s.texts, s.labels, args.limit) for s in sets)
    device = pick_device()
    results = []
    for contestant in CONTESTANTS:
        seed_everything(args.seed)
        results.append(contestant(data, test))
        print(f"{results[-1].name} done", flush=True)
    threads = f"{torch.get_num_threads()} threads, {platform.machine()}"
    versions = f"torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    content = {
        "measured": date.today().isoformat(),
        "machine": f"{device.type}, {threads}, {versions}",
        "data": f"IMDB, {sets[0].source.source.value}",
        "learned": len(data[0]),
        "tested": len(test[0]),
        "results": [asdict(result) for result in results],
    }
    print(report(content))
    if args.save:
        RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return content


def shortened(
    texts: Sequence[str], labels: Sequence[int], limit: int | None
) -> tuple[list[str], list[int]]:
    """The first `limit` of each label; raises `ValueError` for a limit below 1."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit has to be at least 1, not {limit}")
    kept = [
        i
        for label in (0, 1)
        for i in [i for i, y in enumerate(labels) if y == label][:limit]
    ]
    return [texts[i] for i in kept], [labels[i] for i in kept]


if __name__ == "__main__":
    main()
