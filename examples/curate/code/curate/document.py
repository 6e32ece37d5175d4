"""What travels between the stages: a plain dict, so that it can be looked at anywhere.

Keys: `id` (package or file it came from), `path`, `text`; later stages add their own.
"""

import re
from typing import Any

Document = dict[str, Any]

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def words_of(text: str) -> list[str]:
    """Lower-case words without numbers and punctuation."""
    return _WORD.findall(text.lower())
