"""Two stages: measure a text, then score it by what was measured. One answer for each request."""

import math
import re

import cosmos_xenna.pipelines.v1 as px

_LANGUAGES = {
    "en": {"the", "of", "and", "to", "in", "that", "is", "for", "this", "with", "you", "not", "it", "are"},
    "fr": {"le", "la", "les", "des", "et", "du", "une", "est", "dans", "pour", "que", "par", "pas", "sur"},
    "de": {"der", "die", "und", "das", "den", "von", "zu", "mit", "ist", "nicht", "ein", "eine", "auf", "für"},
    "es": {"el", "los", "las", "una", "del", "por", "con", "para", "es", "en", "que", "se", "al", "como"},
}
_WORD = re.compile(r"[^\W\d_]+")
_VOWELS = re.compile(r"[aeiouyäöüéè]+")


class Measure(px.Stage):
    """Counts words, sentences and syllables, and guesses the language."""

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.4)

    def process_data(self, in_data: list[dict]) -> list[dict]:
        return [_measured(item["text"]) for item in in_data]


def _measured(text: str) -> dict:
    words = _WORD.findall(text.lower())
    found = {code: sum(w in known for w in words) for code, known in _LANGUAGES.items()}
    language = max(found, key=lambda code: found[code])
    return {
        "words": len(words),
        "different_words": len(set(words)),
        "sentences": max(1, len(re.findall(r"[.!?](?:\s|$)", text))),
        "syllables": sum(max(1, len(_VOWELS.findall(w))) for w in words),
        "letters": sum(map(str.isalpha, text)) / max(1, len(text)),
        "language": language if found[language] else "unknown",
        "function_words": found[language] / max(1, len(words)),
    }


class Score(px.Stage):
    """A quality between 0 and 1: prose has function words, few symbols, varied words and sentences of a usual length.

    Args:
        min_words: Shorter texts score 0.
    """

    def __init__(self, min_words: int = 5) -> None:
        self._min_words = min_words

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.4)

    def process_data(self, in_data: list[dict]) -> list[dict]:
        out = [self._scored(m) for m in in_data]
        for answer in out:
            print(f"scored {answer['quality']} ({answer['language']}, {answer['words']} words)")
        return out

    def _scored(self, m: dict) -> dict:
        quality, ease = 0.0, None
        if m["words"] >= self._min_words:
            length = m["words"] / m["sentences"]
            ease = round(206.835 - 1.015 * length - 84.6 * m["syllables"] / m["words"], 1)
            evidence = (
                8 * (m["function_words"] - 0.15)
                + 6 * (m["letters"] - 0.7)
                + 3 * (m["different_words"] / m["words"] - 0.4)
                - 2 * abs(math.log(length / 15))
            )
            quality = round(1 / (1 + math.exp(-evidence)), 3)
        return {"language": m["language"], "words": m["words"], "reading_ease": ease, "quality": quality}
