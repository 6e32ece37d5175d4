"""Takes personal data out: copyright files are full of their authors' addresses."""

import re

import cosmos_xenna.pipelines.v1 as px

from curate.document import Document

_PATTERNS = {
    "email": re.compile(r"(?<![\w.+-])[\w.+-]+(?:@|\s?(?:\(at\)|\[at\]|<at>)\s?)[\w-]+(?:\.[\w-]+)+", re.IGNORECASE),
    "phone": re.compile(r"(?<![\w.])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,3}(?![\w.])"),
    "address": re.compile(r"\b\d{1,5} [A-Z]\w+(?: [A-Z]\w+)? (?:Street|St\.|Avenue|Ave\.|Road|Rd\.|Place|Drive)\b"),
}


class Redact(px.Stage):
    """Replaces e-mail addresses, phone numbers and street addresses by tokens, and counts them."""

    @property
    def stage_batch_size(self) -> int:
        return 8

    @property
    def required_resources(self) -> px.Resources:
        return px.Resources(cpus=0.2)

    def process_data(self, in_data: list[Document]) -> list[Document]:
        for document in in_data:
            document["redacted"] = {}
            for kind, pattern in _PATTERNS.items():
                document["text"], count = pattern.subn(f"<{kind}>", document["text"])
                if count:
                    document["redacted"][kind] = count
        removed = sum(sum(d["redacted"].values()) for d in in_data)
        if removed:
            most = max(in_data, key=lambda d: sum(d["redacted"].values()))
            print(f"redacted {removed} in {len(in_data)} documents, most in {most['id']}: {most['redacted']}")
        return in_data
