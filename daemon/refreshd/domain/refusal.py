"""The base of every fault that a person must mend."""


class Refusal(Exception):  # noqa: N818 - reads as what it says
    """Nothing was done, or nothing half; the text is one line that says why and what to do, and holds no secret."""
