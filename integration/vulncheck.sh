#!/bin/sh
# Are vulnerabilities known in what Satchel calls? Asks govulncheck, whose database is
# on the network (VULNDB; https://vuln.go.dev, or a file: URL of a copy). Where it can't be had
# this says so and is no failure, also in CI: nobody's change is wrong because of it.
set -eu
db="${VULNDB:-https://vuln.go.dev}"
export CGO_ENABLED=0

status=0
out=$("${GO:-go}" tool govulncheck -db "$db" ./... 2>&1) || status=$?
case "$status:$out" in
0:*) echo "govulncheck: no vulnerability is known in what is called" ;;
3:*)
	printf '%s\n' "$out"
	echo "govulncheck: vulnerabilities are known: raise the modules named above (docs/dependencies.md)" >&2
	exit 1
	;;
*"fetching vulnerabilities"* | *"creating client"* | *"no such host"*)
	printf '%s\n' "$out" | tail -n 1
	echo "govulncheck: NOT CHECKED: the database $db can't be had here; run \`make vulncheck\` where it can" ;;
*)
	printf '%s\n' "$out" >&2
	exit 1
	;;
esac
