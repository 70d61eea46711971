"""Reasons that say by which numbers they came about. At most 100 characters: the column's width."""

_LONGEST = 100


def with_numbers(reason: str, **numbers: float) -> str:
    """Write `reason: name=number, …`, six digits each, leaving out last numbers for which there is no room."""
    text = f"{reason}:"
    for index, (name, number) in enumerate(numbers.items()):
        part = f"{',' if index else ''} {name}={number:.6g}"
        if len(text) + len(part) > _LONGEST:
            break
        text += part
    return text
