"""`refreshd demo`: everything around the real daemon that a first look needs, on this machine alone."""
