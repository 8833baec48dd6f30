"""Commands run as the store's owner: a `-wal` file that root made would stop the service."""

import os
import pwd
import shlex
import sys
from pathlib import Path

from refreshd.adapters.sql.engine import StoreRefused


def become_owner(database: Path) -> None:
    """As root, drop to the owner of the store; as anybody else than the owner, raise `StoreRefused` with the right command."""
    try:
        owner = database.stat()
    except FileNotFoundError:
        try:
            owner = database.parent.stat()
        except FileNotFoundError:
            return
    except PermissionError as exc:
        raise StoreRefused(f"the store {database} belongs to another user; run this command as that user") from exc
    me = os.geteuid()
    if owner.st_uid == me:
        return
    name = _name(owner.st_uid)
    if me != 0:
        command = shlex.join(["sudo", "-u", name, *sys.argv])
        raise StoreRefused(f"the store {database} belongs to {name}; run: {command}")
    if name.isdigit():
        os.setgroups([])
    else:
        os.initgroups(name, owner.st_gid)
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
