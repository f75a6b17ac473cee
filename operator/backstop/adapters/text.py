"""Words of other systems, made safe to show in a status, an Event or a log line.

What a server says may be long, hostile or full of control characters. Everything that is passed on
goes through here first.
"""

import re
from typing import Final

# Besides the C0 and C1 controls: line separators, and the marks that reorder or hide text.
_UNPRINTABLE: Final = re.compile(
    "[\\x00-\\x20\\x7f-\\x9f\\u00ad\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff"
    "\\ud800-\\udfff]+"
)


def one_line(text: str, limit: int) -> str:
    """Return ``text`` on one line, without unprintable characters, in at most ``limit`` characters.

    ``limit`` is at least 1; text that is cut ends in an ellipsis.
    """
    clean = _UNPRINTABLE.sub(" ", text).strip()
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"
