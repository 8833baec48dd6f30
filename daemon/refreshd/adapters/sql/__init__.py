"""The store: SQLAlchemy Core in short synchronous transactions, on a thread of its own."""
