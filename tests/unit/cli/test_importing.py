"""What `import` says beside its numbers."""

from tests.unit.cli.conftest import Command

IDS = [f"c{number:02}" for number in range(25)]


def test_an_import_over_a_paused_credential_says_so(command: Command, add: Command) -> None:
    """A person logged in again and nothing comes: pausing is the operator's switch, and stays."""
    add(*({"id": name} for name in IDS))
    for name in IDS[1:]:
        command("pause", name)
    again = [{"id": name, "refresh_token": f"new-{name}"} for name in IDS]
    one = add(*again[:2], replace=True)
    assert (
        "1 of them stay paused, so nothing is published: c01; to take them up again: refreshd resume ID" in one.stderr
    )
    assert "paused" not in add({"id": "fresh"}).stderr
    several = add(*({**entry, "refresh_token": f"newer-{entry['id']}"} for entry in again), replace=True)
    assert f"24 of them stay paused, so nothing is published: {', '.join(IDS[1:21])} and 4 more;" in several.stderr


def test_an_import_of_another_token_type_says_what_was_not_taken(add: Command) -> None:
    """The refresh token is there, the daemon fetches the rest."""
    done = add({"id": "a", "access_token": "at", "token_type": "mac"}, {"id": "b", "access_token": "at"}, {"id": "c"})
    assert (0, "3 added, 0 replaced, 0 unchanged\n") == (done.code, done.stdout)
    assert "1 access tokens were not taken, as their token_type is not bearer" in done.stderr
