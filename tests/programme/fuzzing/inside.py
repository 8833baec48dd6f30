"""The first level: answers given to the classifier and the state machine in this process, with nothing between."""

import time
from dataclasses import dataclass
from datetime import timedelta

from refreshd.adapters.oauth.token_endpoint import without_secrets
from refreshd.adapters.oauth.transport import Received
from refreshd.adapters.sql.rows import RowCodec
from refreshd.domain.client import AuthMethod, Client
from refreshd.domain.credential import AttemptId, ClientName, Credential
from refreshd.domain.outcome import Outcome
from refreshd.domain.secret import Secret
from refreshd.domain.settle import settle
from refreshd.domain.token_response import Answer, read_answer
from refreshd.ports.store import Attempt
from tests.contract.stores import POLICY
from tests.programme.fuzzing import promises, words
from tests.programme.fuzzing.answers import Case
from tests.programme.fuzzing.bodies import Planted
from tests.programme.fuzzing.judge import Reading, judge
from tests.programme.fuzzing.legible import unpacked
from tests.programme.fuzzing.states import KINDS, NOW, SENT_AT, STATES
from tests.programme.fuzzing.tally import Tally

CODES = frozenset({words.OWN_REJECTION})
LONGEST_SECONDS = 1.0  # of processor time: all credentials wait meanwhile
_LOOK_EVERY = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer with what must come of it and what did."""

    case: Case
    body: bytes
    reading: Reading
    outcome: Outcome


def client_of(planted: Planted, endpoint: str = "http://127.0.0.1/token", seconds: float = 5) -> Client:
    return Client(
        name=ClientName("acme"),
        token_endpoint=endpoint,
        auth_method=AuthMethod.POST,
        client_id=words.CLIENT_ID,
        client_secret=Secret(planted.client_secret),
        request_timeout=timedelta(seconds=seconds),
        rejection_codes=CODES,
    )


def examine(case: Case, codec: RowCodec, tally: Tally) -> Judged | None:
    """Give one answer its meaning and settle it from every state. None: it raised."""
    headers = dict(case.headers)
    body = unpacked(headers, case.body)
    reading = judge(case.status, headers, body, now=NOW)
    began = time.thread_time()
    try:
        outcome = read(case, headers)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is the finding
        tally.blame(case, [f"raised {exc!r}"])
        return None
    took = time.thread_time() - began
    tally.done += 1
    tally.count(case, case.body, body, reading, outcome)
    broken = promises.of_outcome(reading, outcome)
    if case.promised is not None:
        broken += promises.of_construction(case.promised, reading, outcome)
    if took > LONGEST_SECONDS:
        broken.append(f"took {took:.1f} s")
    judged = Judged(case=case, body=body, reading=reading, outcome=outcome)
    tally.blame(case, broken + _settled(judged, codec, tally))
    return judged


def read(case: Case, headers: dict[str, str]) -> Outcome:
    """As the endpoint reads what it received."""
    received = Received()
    received.status, received.headers, received.body = case.status, headers, case.body
    answer = Answer(status=case.status, headers=headers, body=received.decoded(), complete=case.complete)
    outcome = read_answer(answer, now=NOW, rejection_codes=CODES)
    return without_secrets(outcome, [Secret(case.planted.presented)], _CLIENTS[case.planted.client_secret])


def _settled(judged: Judged, codec: RowCodec, tally: Tally) -> list[str]:
    case, broken = judged.case, []
    for number, names in enumerate(KINDS):
        name = names[case.index % len(names)]
        before = STATES[name]
        try:
            made = settle(before, judged.outcome, POLICY, sent_at=SENT_AT, now=NOW, draw=(case.index % 97) / 97)
            broken += promises.of_transition(name, before, judged.reading, judged.outcome, made)
            tally.counts["condemned"] += made.withdraw_access
            if number == case.index // 7 % len(KINDS):
                broken += promises.of_row(codec, attempt_of(before, case.planted), made)
                look = made if case.index % _LOOK_EVERY == 0 else None
                broken += promises.of_secrets(case.planted, case.secrets, judged.outcome, look, damaged=case.damaged)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is the finding
            broken.append(f"{name}: raised {exc!r}")
    return broken


def attempt_of(before: Credential, planted: Planted) -> Attempt:
    return Attempt(
        id=AttemptId("attempt"),
        owner="fuzz",
        credential=before,
        refresh_token=Secret(planted.presented),
        started_at=SENT_AT,
        lease_until=NOW + timedelta(minutes=1),
    )


_CLIENTS = {secret: client_of(Planted("", secret)) for secret in words.CLIENT_SECRETS}
