"""`refreshd` and `python -m refreshd`."""

from refreshd.cli.app import main

if __name__ == "__main__":
    main()
