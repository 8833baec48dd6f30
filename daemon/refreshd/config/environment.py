"""Environment variables as a table: REFRESHD_SECTION__KEY. Which keys exist is judged elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from refreshd.config.faults import Fault, join
from refreshd.config.untyped import Raw, Untyped

PREFIX = "REFRESHD_"
_NOT_SETTINGS = frozenset({"REFRESHD_CONFIG"})
# What Kubernetes puts into every pod beside a Service named refreshd or refreshd-…; none of ours has such a name.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")


@dataclass(frozen=True, slots=True)
class Variables:
    """The table that the variables make, the variable behind each path, and variables that make no sense."""

    table: Raw = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def read_environment(environ: Mapping[str, str]) -> Variables:
    """`REFRESHD_CLIENTS__ACME__CLIENT_ID` becomes `clients.acme.client_id`; a client's name may itself hold `__`."""
    found = Variables()
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in _NOT_SETTINGS or _is_service_link(variable):
            continue
        section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
        at = [section, key] if key else [section]
        if section == "clients":
            name, _, key = key.rpartition("__")
            if not name or not key:
                wanted = "name a client and a key: REFRESHD_CLIENTS__NAME__KEY"
                found.faults.append(Fault(path="$" + variable, message=wanted))
                continue
            at = [section, name, key]
        _put(found, at, variable, environ[variable])
    return found


def _put(found: Variables, at: list[str], variable: str, text: str) -> None:
    table, path = found.table, ""
    for step in at[:-1]:
        inner = table.setdefault(step, {})
        if not isinstance(inner, dict):
            found.faults.append(Fault(path="$" + variable, message=f"${PREFIX}{step.upper()} is set too"))
            return
        table, path = inner, join(path, step)
    table[at[-1]] = Untyped(text)
    found.sources[join(path, at[-1])] = f"from ${variable}"


def _is_service_link(variable: str) -> bool:
    return "__" not in variable and _SERVICE_LINK.search(variable) is not None
