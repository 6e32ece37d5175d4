"""Keeps what reads like prose. The rules are the usual ones of web corpora (C4, Gopher), set for licence texts."""

import collections

import cosmos_xenna.pipelines.v1 as px

from curate.document import Document, words_of

_FUNCTION_WORDS = {"the", "of", "and", "to", "or", "in", "this", "is", "for", "with", "de", "la", "der", "die", "und"}


class Quality(px.Stage):
    """Drops documents that are too short, too repetitive or not prose.

    Args:
        min_words: Documents with fewer words are dropped.
        max_words: Documents with more words are dropped (lists, not prose).
        min_letters: Smallest share of letters among all characters.
        max_repeated_lines: Largest share of lines that occur more than once.
    """

    def __init__(
        self,
        min_words: int = 60,
        max_words: int = 50_000,
        min_letters: float = 0.55,
        max_repeated_lines: float = 0.5,
    ) -> None:
        self._min_words = min_words
        self._max_words = max_words
        self._min_letters = min_letters
        self._max_repeated_lines = max_repeated_lines
        self._reasons: collections.Counter[str] = collections.Counter()

    @property
    def stage_batch_size(self) -> int:
        return 8

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[Document]) -> list[Document]:
        out = []
        for document in in_data:
            reason = self._reason_to_drop(document)
            if reason is None:
                out.append(document)
            else:
                self._reasons[reason.split(":")[0]] += 1
                print(f"dropped {document['id']}: {reason}")
        return out

    def _reason_to_drop(self, document: Document) -> str | None:
        text, words = document["text"], words_of(document["text"])
        document["words"] = len(words)
        if len(words) < self._min_words:
            return f"too short: {len(words)} words"
        if len(words) > self._max_words:
            return f"too long: {len(words)} words"
        letters = sum(map(str.isalpha, text)) / len(text)
        if letters < self._min_letters:
            return f"not prose: {letters:.0%} letters"
        if len(_FUNCTION_WORDS.intersection(words)) < 3:
            return "not prose: hardly a function word"
        lines = [line.strip() for line in text.splitlines() if len(line.strip()) > 20]
        if lines:
            counts = collections.Counter(lines)
            repeated = sum(n for n in counts.values() if n > 1) / len(lines)
            if repeated > self._max_repeated_lines:
                return f"repetitive: {repeated:.0%} of its lines occur more than once"
        return None

    def destroy(self) -> None:
        summary = ", ".join(f"{n} {reason}" for reason, n in self._reasons.most_common()) or "nothing"
        print(f"quality filter dropped: {summary}")
