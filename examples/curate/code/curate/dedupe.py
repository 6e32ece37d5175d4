"""Near-duplicate removal by MinHash and locality-sensitive hashing.

A document is the set of its word 5-grams. One-permutation MinHash (Li, Owen and Zhang, 2012) gives 128 values
whose agreement estimates the Jaccard similarity of two sets; cut into 32 bands of 4, documents that agree in
a whole band are compared, all others never. The first of a group of duplicates stays.
"""

import hashlib

import cosmos_xenna.pipelines.v1 as px

from curate.document import Document, words_of

_BINS = 128
_ROWS = 4
_EMPTY = 1 << 57


class Dedupe(px.Stage):
    """Keeps the first of each group of near-duplicates. Holds state, so it must have one worker.

    Args:
        threshold: Estimated similarity from which a document is a duplicate, 0 to 1.
        shingle: Words per n-gram.
    """

    def __init__(self, threshold: float = 0.8, shingle: int = 5) -> None:
        self._threshold = threshold
        self._shingle = shingle
        self._kept: list[tuple[str, list[int]]] = []
        self._bands: dict[tuple[int, ...], list[int]] = {}
        self._removed = 0

    @property
    def stage_batch_size(self) -> int:
        return 8

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[Document]) -> list[Document]:
        out = []
        for document in in_data:
            signature = minhash(words_of(document["text"]), self._shingle)
            name, similarity = self._nearest(signature)
            if similarity >= self._threshold:
                self._removed += 1
                print(f"dropped {document['id']}: {similarity:.0%} the same as {name}")
                continue
            document["nearest"] = {"id": name, "similarity": round(similarity, 2)} if name else None
            self._remember(document["id"], signature)
            out.append(document)
        return out

    def _nearest(self, signature: list[int]) -> tuple[str | None, float]:
        candidates = {index for band in _bands(signature) for index in self._bands.get(band, ())}
        best, similarity = None, 0.0
        for index in sorted(candidates):
            name, other = self._kept[index]
            same = sum(a == b for a, b in zip(signature, other, strict=True)) / _BINS
            if same > similarity:
                best, similarity = name, same
        return best, similarity

    def _remember(self, name: str, signature: list[int]) -> None:
        for band in _bands(signature):
            self._bands.setdefault(band, []).append(len(self._kept))
        self._kept.append((name, signature))

    def destroy(self) -> None:
        print(f"kept {len(self._kept)} documents, removed {self._removed} near-duplicates")


def minhash(words: list[str], shingle: int) -> list[int]:
    """128 values; the share in which two signatures agree estimates how much of their n-grams two texts share."""
    bins = [_EMPTY] * _BINS
    for start in range(max(1, len(words) - shingle + 1)):
        gram = " ".join(words[start : start + shingle])
        value = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "big")
        index = value >> 57
        bins[index] = min(bins[index], value & (_EMPTY - 1))
    # An empty bin borrows from the next full one, with the distance mixed in.
    filled = list(bins)
    for index in range(_BINS):
        step = 0
        while bins[(index + step) % _BINS] == _EMPTY and step < _BINS:
            step += 1
        filled[index] = bins[(index + step) % _BINS] + step * _EMPTY
    return filled


def _bands(signature: list[int]) -> list[tuple[int, ...]]:
    return [(start, *signature[start : start + _ROWS]) for start in range(0, _BINS, _ROWS)]
