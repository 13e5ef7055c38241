"""Foreign text, made fit for a terminal or a log."""


def printable(text: str) -> str:
    """Without control characters but line feed and tab: an escape sequence must not reach a terminal."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
