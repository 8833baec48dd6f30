#!/bin/sh
# Call an API with the token of one credential:  read_token.sh ID URL
# Neither the token nor a Redis password (set REDISCLI_AUTH) is ever an argument.
set -eu
refused='' asked='' until=$(($(date +%s) + 10))
while [ "$(date +%s)" -lt "$until" ]; do
  { read -r token; read -r generation; } <<READ || :
$(redis-cli --raw HMGET "refreshd:token:$1" access_token generation)
READ
  if [ -n "$token" ] && [ "$generation" != "$refused" ]; then
    answer=$(printf 'Authorization: Bearer %s\n' "$token" | curl -sS -H @- -w '\n%{http_code}' "$2")
    [ "${answer##*[!0-9]}" = 401 ] || { printf '%s\n' "$answer"; exit 0; }
    refused=$generation until=$(($(date +%s) + 10)) # only a newer token is worth a call
  elif [ "$refused" != "$asked" ]; then # read again, and still the same: ask for a refresh, once
    redis-cli XADD refreshd:requests MAXLEN '~' 1000 '*' id "$1" generation "$refused" >/dev/null
    asked=$refused
  fi
  sleep 1
done
echo "no token of $1 was accepted within 10 s; see refreshd:status:$1" >&2
exit 1
