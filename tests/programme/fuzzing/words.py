"""The words that generated answers are made of: one odd value of each kind that a provider, a proxy or a bug has ever sent."""

import json

NESTED = 5_000  # far beyond what any recursive reader follows
SHALLOW = 40

REJECTING = {
    "invalid_grant": "fast",
    "token_inactive": "fast",
    "request_unauthorized": "fast",
    "access_denied": "fast",
    "login_required": "fast",
    "consent_required": "fast",
    "invalid_request": "slow",
    "invalid_scope": "slow",
    "scope_not_granted": "slow",
}
"""Protocol §3, `Rejected`: what it takes to believe each code."""
MISCONFIGURING = ("invalid_client", "unauthorized_client", "unsupported_grant_type")
DEFERRING = ("temporarily_unavailable", "slow_down")
OWN_REJECTION = "bad_refresh_token"
"""A code that the configuration of this provider names."""
UNKNOWN = (
    "bad_verification_code",
    "invalid_token",
    "Not Found",
    "Internal Server Error",
    "interaction_required",
    "INVALID_GRANT",
    "invalid_grant ",
    "unauthorized",
    "e" * 300,
    "\ud800",
    "\x00",
    "<b>no</b>",
)
ERRORS = (
    *("invalid_grant",) * 6,
    *REJECTING,
    *("invalid_request",) * 2,
    *MISCONFIGURING,
    *DEFERRING,
    "server_error",
    OWN_REJECTION,
    *UNKNOWN,
)
NO_ERRORS = (
    "null",
    '""',
    "0",
    "400",
    "true",
    "[]",
    "{}",
    '["invalid_grant"]',
    '{"code":190,"type":"OAuthException"}',
    "NaN",
)
"""JSON values in `error` that are no error code."""

SHARED_USE = (
    "Failed to refresh token because of multiple concurrent requests using the same token which is not allowed.",
    "The refresh token was used concurrently",
    "Please retry the request",
)
"""What Hydra and others say when two requests present one token at the same time."""
DESCRIPTIONS = (
    "",
    "The provided authorization grant is invalid, expired or revoked.",
    "Token is not active",
    "é€😀 \u2028 \x1b[31m red \x07",
    "line\r\nInjected: header",
    "nul \x00 inside",
    "half \ud800 character",
    "x" * 5_000,
    "<html><body>nginx</body></html>",
)

ODD_TOKENS = (
    "x",
    "0",
    " ",
    "two words",
    "tab\there",
    "line\r\nbreak",
    "nul\x00inside",
    "\x00",
    'quote"backslash\\slash/',
    '"',
    "\\",
    "\\\\",
    "café€",
    "😀",
    "\u2028\u2029\ufeff",
    "\x7f\x80\x9f",
    "refresh_token",
    '"refresh_token":"no"',
    '{"refresh_token":"inner"}',
    "half\ud800",
    "\udfffhalf",
    "\ud83d",
    "\ude00\ud83d",
    "null",
    "%41%2B+&=",
    "Bearer x",
    "L" * 17_000,
    "L" * 50_000,
)
NO_TOKENS = ("null", '""', "0", "7", "true", "[]", "{}", '["token"]', '{"value":"token"}', "NaN", "-Infinity", "1e999")
"""JSON values that are no token."""
BROKEN_LITERALS = (r'"bad \q escape"', r'"\u12"', '"', '"open', "token", "'single'", '"a" "b"', '"a"}', "")

TOKEN_TYPES = ('"bearer"', '"Bearer"', '"BEARER"', '"bEaReR"')
OTHER_TYPES = ('"mac"', '"DPoP"', '"N_A"', '" bearer"', '""', '"bearer\\u0000"', "1", "[]", '["bearer"]', "true")
LIFETIMES = ("3600", "3599", "3600", "86400", "60", "1", "2678400")
ODD_LIFETIMES = (
    '"3600"',
    '"0"',
    '"-5"',
    '"1e3"',
    '" 3600 "',
    '"\uff13\uff16\uff10\uff10"',
    '"forever"',
    '""',
    "0",
    "-0",
    "-0.0",
    "-1",
    "0.5",
    "3600.7",
    "1e3",
    "1e-400",
    "1e400",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "-Infinity",
    "2678401",
    "9" * 18,
    "9" * 19,
    "9" * 400,
    "9" * 4_300,
    "9" * 4_301,
    "-" + "9" * 5_000,
    '"' + "9" * 5_000 + '"',
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[3600]",
    "0x10",
    "+1",
    "01",
    ".5",
)
SCOPES = ('"offline read"', '"offline"', '"offline read write"')
ODD_SCOPES = (
    '""',
    '" "',
    "null",
    "7",
    "[]",
    '["offline"]',
    '"a\\u0000b"',
    '"\\ud800"',
    '"a\\r\\nb"',
    '"é"',
    json.dumps("s" * 20_000),
)
EXTRAS = (
    '"id_token":"e30.e30.x"',
    '"sub":12345678901234567890',
    '"note":"\\"refresh_token\\": \\"quoted\\""',
    '"note":"caf\\u00e9 \\ud83d\\ude00"',
    '"note":"raw\tcontrol\x01"',
    '"note":"half \\ud800"',
    '"note":"café"',
    '"":""',
    '"x":[1,2.5,true,null,{"y":"z"}]',
    '"x":NaN',
    '"x":' + "[" * SHALLOW + "]" * SHALLOW,
    '"x":' + "9" * 5_000,
    '"data":{"a":1,"a":2}',
    '"not_before_policy":0',
)
DECOYS = (
    '"user":{"refresh_token":"decoy"}',
    '"previous":[{"refresh_token":"decoy","refresh_token":""}]',
    '"refresh_token_expires_in":86400',
    '"refresh_tokens":"decoy"',
    '"x_refresh_token":"decoy"',
    '"Refresh_Token":"decoy"',
)
DEEP = ('"x":' + "[" * NESTED + "]" * NESTED, '"x":' + '{"x":' * NESTED + "1" + "}" * NESTED, '"x":' + "[" * NESTED)

NO_JSON = (
    b"",
    b" ",
    b"\r\n",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'["invalid_grant"]',
    b'"invalid_grant"',
    b"0",
    b"-1e999",
    b"NaN",
    b"OK",
    b"error=invalid_grant",
    b"access_token=form-encoded&refresh_token=form-encoded&token_type=bearer",
    b"{'refresh_token': 'single', 'access_token': 'quotes'}",
    b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    b"<?xml version='1.0'?><error>invalid_grant</error>",
    b'{"error":',
    b'{"error":"invalid_grant"',
    b"{" * NESTED,
    b"[" * 70_000,
    b"\x00" * 100,
    b"\xff" * 100,
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff\x00",
    b"\x1f\x8b\x08\x00",
)
PREFIXES = (
    b")]}',\n",
    b"while(1);",
    b"<br />\n<b>Notice</b>: x in <b>y</b>\n",
    b"\xef\xbb\xbf\xef\xbb\xbf",
    b"\r\n\r\n",
    b"\x00",
    b"[",
    b'{"data":',
)
SUFFIXES = (
    b"\n",
    b" trailing",
    b"{}",
    b"]",
    b"}",
    b"\x00",
    b"<!-- 12 ms -->",
    b"\xff",
    b'{"access_token":"second","token_type":"bearer"}',
)

WAITS = ("0", "1", "30", "120", "3600", "3601", "86400", "9" * 30, "007")
DATES = (
    "Mon, 01 Jun 2026 12:02:00 GMT",
    "Mon, 01 Jun 2026 11:00:00 GMT",
    "Tue, 02 Jun 2026 12:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 01 Jan 0001 00:00:00 GMT",
)
ODD_WAITS = (
    "",
    "soon",
    "-5",
    "+5",
    "1.5",
    "1e3",
    "\u0663",
    "5, 10",
    "5 s",
    "Monday, 01-Jun-26 12:02:00 GMT",
    "Mon Jun  1 12:02:00 2026",
    "2026-06-01T12:02:00Z",
    "Mon, 01 Jun 2026 12:02:00 +2359",
    "Mon, 01 Jun 2026 12:02:00 -9999",
    "Mon, 99 Jun 2026 12:02:00 GMT",
    "Mon, 01 Jun 99999 12:02:00 GMT",
    "Mon, 01 Jun 2026 12:02:00 " + "9" * 500,
    "01 Jun",
    ",",
    ", , ,",
    "\x00",
    "0" * 5_000 + "7",
)

PRESENTED = (
    "ory_rt_Zk3b1XcW9vQm2LrT5yUe8oPa7sDf6gHj.4kLzXcVbNmQwErTyUiOp",
    "1//0gAbC+dEfGhIjKlMnOpQr/StUvWxYz0123456789==",
    "rt-8f3a2",
    "the+refresh/token",
    "two words & more",
    'quo"te\\back',
    "töken-é",
    "line\r\nbreak-token",
    "e30.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
    "<r&t>'token'",
)
"""Refresh tokens that we may have sent."""
CLIENT_SECRETS = ("the+client/secret", "s3cret-0123456789-abcdefghijklmnop", "p:a%s+&=/?-0123456789", "sé cret<&>")
CLIENT_ID = "client-0123456789"
