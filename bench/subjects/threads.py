"""Subject (d): 64 threads and one requests session. One commit and one SET for each refresh."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import requests
from redis import Redis
from requests.adapters import HTTPAdapter

from bench.subjects.table import fill, keep, logins, opened, unsealed

THREADS = 64


def main(url: str, path: Path, redis_url: str, count: int) -> None:
    """Refresh until the process is ended, or all are done."""
    fill(path, count)
    store, lock, redis = opened(path), Lock(), Redis.from_url(redis_url)
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=THREADS))

    def refresh(login: tuple[str, bytes]) -> None:
        name, token = login
        form = {"grant_type": "refresh_token", "refresh_token": unsealed(token), "scope": "offline read"}
        answer = session.post(url, data=form, auth=("bench", "bench"), timeout=90)
        answer.raise_for_status()
        tokens = answer.json()
        with lock:
            keep(store, name, tokens)
        redis.set(f"threads:{name}", tokens["access_token"], ex=int(tokens["expires_in"]))

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(refresh, logins(path)):
            pass


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
