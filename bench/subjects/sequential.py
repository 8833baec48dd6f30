"""Subject (d): the cron script. One requests-oauthlib session after another; one commit and one SET for each refresh."""

import os
import sys
from pathlib import Path

from redis import Redis
from requests_oauthlib import OAuth2Session

from bench.subjects.table import fill, keep, logins, opened, unsealed


def main(url: str, path: Path, redis_url: str, count: int) -> None:
    """Refresh until the process is ended, or all are done."""
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the benchmark's provider is on loopback
    fill(path, count)
    store, redis = opened(path), Redis.from_url(redis_url)
    for name, token in logins(path):
        session = OAuth2Session(
            "bench", token={"access_token": "", "refresh_token": unsealed(token), "token_type": "bearer"}
        )
        tokens = session.refresh_token(url, auth=("bench", "bench"), timeout=90)
        session.close()
        keep(store, name, tokens)
        redis.set(f"sequential:{name}", tokens["access_token"], ex=int(tokens["expires_in"]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
