"""The object graph: the only place that names concrete classes. Configuration stops here.

Nothing is imported here, so that a command loads only what it runs.
"""
