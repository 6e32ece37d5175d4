"""Adds what a reader would ask for first: language, licences spoken of, how hard it reads, what it is about."""

import collections
import math
import re

import cosmos_xenna.pipelines.v1 as px

from curate.document import Document, words_of

_LANGUAGES = {
    "en": {"the", "of", "and", "to", "in", "that", "is", "for", "this", "with", "any", "or", "you", "not"},
    "fr": {"le", "la", "les", "des", "et", "du", "une", "est", "dans", "pour", "que", "par", "ou", "sur"},
    "de": {"der", "die", "und", "das", "den", "von", "zu", "mit", "ist", "des", "im", "für", "nicht", "eine"},
    "es": {"el", "los", "las", "una", "del", "por", "con", "para", "es", "en", "que", "se", "al", "como"},
}
_LICENCES = {
    "Apache-2.0": r"apache license,? +version 2|license: apache-2",
    "MIT": r"permission is hereby granted, free of charge|license: (?:mit|expat)",
    "BSD": r"redistribution and use in source and binary forms|license: bsd",
    "GPL-2": r"gpl-2|general public license.{0,40}version 2\b",
    "GPL-3": r"gpl-3|general public license.{0,40}version 3\b",
    "LGPL": r"lesser general public license|library general public license|lgpl",
    "MPL": r"mozilla public license",
    "ISC": r"permission to use, copy, modify, and/or distribute|license: isc",
    "public-domain": r"public[ -]domain",
    "Artistic": r"artistic licen[cs]e|license: artistic",
    "GFDL": r"free documentation license|gfdl",
    "PSF-2.0": r"python software foundation",
}
_PATTERNS = {name: re.compile(pattern, re.DOTALL) for name, pattern in _LICENCES.items()}
_VOWELS = re.compile(r"[aeiouyäöüéè]+")
_STOP = {"are", "but", "from", "has", "have", "its", "may", "shall", "such", "was", "which", "will"}.union(
    *_LANGUAGES.values()
)


class Annotate(px.Stage):
    """Language, licences, reading ease (Flesch) and keywords of each document.

    Args:
        keywords: How many keywords a document gets.
    """

    def __init__(self, keywords: int = 6) -> None:
        self._keywords = keywords
        self._documents = 0
        self._in_documents: collections.Counter[str] = collections.Counter()

    @property
    def stage_batch_size(self) -> int:
        return 8

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[Document]) -> list[Document]:
        out = [self._annotated(document) for document in in_data]
        for document in out[:1]:
            licences = ", ".join(document["licences"]) or "no known licence"
            print(f"{document['id']}: {document['language']}, {licences}; {', '.join(document['keywords'][:3])}")
        return out

    def _annotated(self, document: Document) -> Document:
        words = words_of(document["text"])
        folded = re.sub(r"\s+", " ", document["text"].lower())
        counts = collections.Counter(w for w in words if len(w) > 2 and w not in _STOP)
        self._documents += 1
        self._in_documents.update(counts.keys())
        return {
            "id": document["id"],
            "path": document["path"],
            "language": _language(words),
            "licences": [name for name, pattern in _PATTERNS.items() if pattern.search(folded)],
            "keywords": self._keywords_of(counts),
            "words": len(words),
            "reading_ease": _reading_ease(document["text"], words),
            "redacted": document["redacted"],
            "nearest": document["nearest"],
            "text": document["text"],
        }

    def _keywords_of(self, counts: collections.Counter[str]) -> list[str]:
        """By tf-idf against the documents that came before."""

        def weight(word: str) -> float:
            return counts[word] * math.log((1 + self._documents) / self._in_documents[word])

        return sorted(counts, key=lambda w: (-weight(w), w))[: self._keywords]


def _language(words: list[str]) -> str:
    shares = {code: sum(w in known for w in words) / len(words) for code, known in _LANGUAGES.items()}
    best = max(shares, key=lambda code: shares[code])
    return best if shares[best] > 0.05 else "unknown"


def _reading_ease(text: str, words: list[str]) -> float:
    """Flesch reading ease: 100 reads easily, below 30 is for lawyers."""
    sentences = max(1, len(re.findall(r"[.!?](?:\s|$)", text)))
    syllables = sum(n * max(1, len(_VOWELS.findall(w))) for w, n in collections.Counter(words).items())
    return round(206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words), 1)
