from typing import Any

__all__ = ["LARGEST_PAYLOAD", "MAX_NESTING", "copy_plain"]

MAX_NESTING: int
"""The most levels of JSON objects and arrays in a token, the outermost being the first."""
LARGEST_PAYLOAD: int
"""The most bytes of JSON that an access token has room for: 8 KiB hold no more as base64url."""

def copy_plain(mapping: object, whole: str, member: str, most: int) -> dict[str, Any]:
    """Return a private copy of a mapping that holds plain JSON, with arrays as lists.

    Args:
        mapping: any mapping. It counts as the first level of nesting.
        whole: what an error calls it.
        member: what an error calls a member, before the member's name.
        most: the bytes of JSON that it may have at most. More of them may be let through, as long
            as it has fewer values and characters.

    Raises:
        InvalidArgument: it would not come back from JSON as it is; says why.
    """
