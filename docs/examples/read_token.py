"""Call an API with the token of one credential:  python read_token.py ID URL"""

import os
import sys
import time
from http.client import HTTPResponse
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import redis


def call(store: redis.Redis, credential_id: str, url: str) -> HTTPResponse:
    refused, asked, until = None, None, time.monotonic() + 10
    while time.monotonic() < until:
        token, generation = store.hmget(f"refreshd:token:{credential_id}", "access_token", "generation")
        if token and generation != refused:
            try:
                return urlopen(Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=30)
            except HTTPError as error:
                if error.code != 401:
                    raise
            refused, until = generation, time.monotonic() + 10  # only a newer token is worth a call
        elif refused != asked:  # read again, and still the same: ask for a refresh, once
            store.xadd("refreshd:requests", {"id": credential_id, "generation": refused}, maxlen=1000)
            asked = refused
        time.sleep(0.25)
    raise TimeoutError(f"no token of {credential_id} was accepted within 10 s; see refreshd:status:{credential_id}")


if __name__ == "__main__":
    redis_url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
    with redis.Redis.from_url(redis_url, decode_responses=True) as store, call(store, *sys.argv[1:3]) as answer:
        print(answer.read().decode())
