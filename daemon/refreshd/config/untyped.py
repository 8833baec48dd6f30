"""Text from outside TOML. A module of its own, because both faults and field types must tell it from a TOML string."""

Raw = dict[str, object]  # a table as it was read, before anything is known of it


class Untyped(str):
    """From the environment, where numbers and lists have no notation of their own."""

    __slots__ = ()


class FromFile(Untyped):
    """From a `*_file`. What was put into a file of its own is not shown to anyone."""

    __slots__ = ()
