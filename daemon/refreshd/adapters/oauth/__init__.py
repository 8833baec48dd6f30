"""The HTTP side of OAuth: what is asked of a provider, and what each failure proves."""
