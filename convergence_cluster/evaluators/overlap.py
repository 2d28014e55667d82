"""How many words and sequences of words an answer shares with a reference. Letter case and punctuation do not count."""

import math
import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_MAX_ORDER = 4


def rouge_n(answer: str, reference: str, n: int = 1) -> float:
    """Return the F1 of the sequences of `n` words that both texts have, each counted as often as it stands in both.

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), section 2, with precision as well.
    """
    ours, theirs = _sequences(_words(answer), n), _sequences(_words(reference), n)
    n_shared = (ours & theirs).total()
    return 2.0 * n_shared / (ours.total() + theirs.total()) if n_shared else 0.0


def bleu(answer: str, references: Sequence[str]) -> float:
    """Return BLEU-4 of one sentence.

    Shorter answers count the orders that they have; each further order without a match counts half of the one before.

    Source: Papineni et al., "BLEU" (2002), equations 1 to 3; smoothing: Chen and Cherry (2014), method 3.
    """
    ours, theirs = _words(answer), [_words(reference) for reference in references]
    if not ours:
        return 0.0
    logs, missed = [], 1.0
    for n in range(1, min(_MAX_ORDER, len(ours)) + 1):
        found = _sequences(ours, n)
        allowed: Counter[tuple[str, ...]] = Counter()
        for words in theirs:
            allowed |= _sequences(words, n)
        n_shared = (found & allowed).total()
        if n_shared == 0 and n == 1:
            return 0.0
        missed *= 1.0 if n_shared else 2.0
        logs.append(math.log((n_shared or 1.0 / missed) / found.total()))
    nearest = min((abs(len(words) - len(ours)), len(words)) for words in theirs)[1]
    brevity = min(0.0, 1.0 - nearest / len(ours))
    return math.exp(brevity + sum(logs) / len(logs))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _sequences(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))
