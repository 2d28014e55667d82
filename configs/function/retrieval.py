"""The function that `configs/python-function.yaml` tunes: a small retrieval pipeline over this folder's articles.

Put your own pipeline in its place: call a model, a database, a library. What it returns is scored: a text, or anything
that JSON can hold, of which `api.response` says where things are.
"""

import math
import re
from collections import Counter
from pathlib import Path

ARTICLES = [text.strip() for text in Path(__file__).with_name("articles.txt").read_text().split("\n\n") if text.strip()]


def answer(question: str, chunk_words: int, overlap: float, weighting: str, stem: bool) -> dict:
    """Return the passage that fits a question best, and how many words it had to look through."""
    passages = [passage for text in ARTICLES for passage in cut(text, chunk_words, overlap)]
    wanted = words_of(question, stem)
    found = [Counter(words_of(passage, stem)) for passage in passages]
    spread = Counter(word for words in found for word in words)

    def weight(word: str) -> float:
        return math.log(len(passages) / (1 + spread[word])) + 1 if weighting == "rare" else 1.0

    scores = [sum(weight(word) for word in set(wanted) if words[word]) / (1 + len(words)) ** 0.3 for words in found]
    best = max(range(len(passages)), key=scores.__getitem__)
    return {"text": passages[best], "words_read": sum(words.total() for words in found)}


def cut(text: str, n_words: int, overlap: float) -> list[str]:
    """Return a text in passages of so many words, each sharing a part with the one before."""
    words = text.split()
    step = max(1, round(n_words * (1 - overlap)))
    return [" ".join(words[start : start + n_words]) for start in range(0, max(1, len(words) - n_words + step), step)]


def words_of(text: str, stem: bool) -> list[str]:
    """Return a text's words in lower case, without their commonest endings if asked."""
    words = re.findall(r"[a-z]+", text.lower())
    return [re.sub(r"(ing|ed|es|s)$", "", word) if stem else word for word in words]
