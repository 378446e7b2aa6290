#!/bin/bash
# A whole Satchel on this machine, as `make run` shows it: a server with its
# own PostgreSQL, a demo user and the drive mounted as a folder. Ctrl-C or
# SIGTERM ends all of it in order; the data stays for the next run. What a run
# left that was killed (SIGKILL) is ended by the next one before it starts.
#
#   run.sh           run
#   run.sh --clean   remove the data that was kept
set -u
cd "$(dirname "$0")/.."
root=$PWD
run=$root/.run
user=demo@example.org

say() { printf '%s\n' "$*"; }
fail() { printf 'run: %s\n' "$*" >&2; exit 1; }

# PostgreSQL refuses to run as root, so root's server runs it as another user,
# who must be able to reach the data. A checkout in a private home is not the
# place then.
reachable() {
	local d=$1
	while [ "$d" != / ]; do
		[ ! -e "$d" ] || [ -n "$(find "$d" -maxdepth 0 -perm -o+x)" ] || return 1
		d=$(dirname "$d")
	done
}
data=$run/server
if [ "$(id -u)" = 0 ] && ! reachable "$run"; then
	data=/var/lib/satchel-run-$(printf %s "$root" | cksum | cut -d ' ' -f 1)
fi
drive=$run/drive

mounted() { grep -q " ${drive// /\\\\040} " /proc/self/mounts; }
alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
servers() { grep -lzxF -e "$data" /proc/[0-9]*/cmdline 2>/dev/null | xargs -r grep -lzx serve 2>/dev/null | cut -d / -f 3; }

if [ -e "$run/pid" ]; then
	before=$(cat "$run/pid")
	if alive "$before" && grep -qz run.sh "/proc/$before/cmdline" 2>/dev/null; then
		fail "already running here, in $drive; Ctrl-C in its terminal ends it in order, and so does: kill $before"
	fi
	rm -f "$run/pid"
fi

if [ "${1-}" = --clean ]; then
	if mounted || [ -n "$(servers)" ]; then
		fail "a run that was killed left its server or its folder at work; nothing is removed. End them in order with 'make run' and Ctrl-C, then clean"
	fi
	rm -rf "$run" "$data"
	exit 0
fi

mkdir -p "$run" || exit 1
[ -w "$run" ] || fail "$run belongs to another user; run 'make clean' as that user first"
chmod 0711 "$run"
mkdir -p "$run/client/run"
chmod 0700 "$run/client" "$run/client/run"
[ -s "$run/password" ] || (umask 077 && head -c 9 /dev/urandom | base64 | tr '/+' 'xy' >"$run/password")
password=$(cat "$run/password")

# The client keeps everything beside the data, so that a demo does not mix
# with your own logins. A socket's path is limited to 107 bytes.
socket_dir=$run/client/run
if [ ${#socket_dir} -ge 60 ]; then
	socket_dir=$(sed -n 's/^export XDG_RUNTIME_DIR=//p' "$run/env" 2>/dev/null) # of a run that was killed
	[[ $socket_dir == /tmp/satchel-run.* && -O $socket_dir ]] || socket_dir=$(mktemp -d /tmp/satchel-run.XXXXXX)
fi
{
	for v in CONFIG DATA STATE CACHE; do printf 'export XDG_%s_HOME=%q\n' $v "$run/client/${v,,}"; done
	printf 'export XDG_RUNTIME_DIR=%q\nexport PATH=%q:$PATH\n' "$socket_dir" "$root/bin"
} >"$run/env"
. "$run/env"

# In a shell of its own: bash ends when exec can't redirect.
healthy() (
	exec 2>/dev/null
	exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
	printf 'GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
	read -r -t 5 status <&3 && [[ $status == *" 200 "* ]]
)

# Who has something of the folder open, or stands in it.
holders() {
	local at to pid last=
	while IFS=$'\t' read -r at to; do
		case $to in "$drive" | "$drive"/*) ;; *) continue ;; esac
		pid=${at#/proc/} pid=${pid%%/*}
		[ "$pid" = "$last" ] || echo "    $(cat "/proc/$pid/comm") (process $pid)"
		last=$pid
	done < <(find /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/fd -maxdepth 1 -type l -printf '%p\t%l\n' 2>/dev/null)
}

unmount() {
	local daemon i
	timeout 60 satchel umount --json "$drive" >"$run/umount.log" 2>&1 && return
	mounted || return
	if grep -q '^{.*"kind":"busy"' "$run/umount.log"; then
		say "Programs still work in the folder; it is taken away under them:"
		holders
	else
		cat "$run/umount.log" >&2
	fi
	# A daemon that is told to end detaches the folder from those who hold it.
	daemon=$(satchel status "$drive" --json 2>/dev/null | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p')
	if alive "$daemon"; then
		kill -TERM "$daemon"
		for ((i = 0; i < 200; i++)); do
			alive "$daemon" || break
			sleep 0.1
		done
	fi
	! mounted || umount -l "$drive" || fusermount3 -u -z "$drive"
}

server=
cleanup() {
	local code=$?
	trap '' INT TERM HUP
	trap - EXIT
	if mounted; then
		say "Unmounting; changes that the server lacks are sent first."
		unmount
	fi
	if alive "$server"; then
		kill -TERM "$server"
		wait "$server"
	fi
	rm -f "$run/pid"
	case $socket_dir in /tmp/satchel-run.*) rm -rf "$socket_dir" ;; esac
	[ "$code" != 0 ] || say "Ended. Your files are kept: 'make run' brings them back, 'make clean' removes them."
	exit "$code"
}
trap cleanup EXIT
trap 'exit 0' INT TERM HUP
echo $$ >"$run/pid"

# What a killed run left: its server holds the data, and its folder is the old
# server's.
if mounted || [ -n "$(servers)" ]; then
	say "Ending what a run left that was killed; changes that the server lacks are sent first."
	! mounted || unmount
	! mounted || fail "$drive can't be unmounted"
	for pid in $(servers); do
		kill -TERM "$pid"
		for ((i = 0; i < 600; i++)); do
			alive "$pid" || break
			sleep 0.1
		done
		! alive "$pid" || fail "the server (process $pid) does not end; its log is $run/server.log"
	done
fi

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=$(cat "$run/port" 2>/dev/null || echo 7170)
while ! port_is_free "$port"; do
	[ ! -s "$run/client/url" ] || fail "port $port is taken by another program (ss -ltnp shows which). The demo's folder belongs to that address: end the program and run again, or begin anew with 'make clean'"
	say "port $port is taken; trying $((port + 1))"
	port=$((port + 1))
done
echo "$port" >"$run/port"
url=http://127.0.0.1:$port
chmod 0600 "$run/env" # it has the password from here on
printf 'export URL=%q EMAIL=%q PASSWORD=%q\n' "$url" "$user" "$password" >>"$run/env"

# Own sessions for the children: a Ctrl-C reaches this script only, which then
# unmounts before it stops the server.
setsid satcheld serve --listen "127.0.0.1:$port" --data "$data" >"$run/server.log" 2>&1 </dev/null &
server=$!
for ((i = 0; i < 600; i++)); do
	healthy && break
	alive "$server" || { tail -n 20 "$run/server.log" >&2; fail "the server ended; its log is $run/server.log"; }
	sleep 0.1
done
healthy || fail "the server did not become ready in a minute; its log is $run/server.log"

if ! satcheld user list --data "$data" 2>>"$run/server.log" | grep -qF "$user"; then
	satcheld user add "$user" --password-stdin --data "$data" <"$run/password" >/dev/null || fail "adding the demo user failed"
fi
if [ "$(cat "$run/client/url" 2>/dev/null)" != "$url" ] || ! satchel whoami >/dev/null 2>&1; then
	satchel login "$url" --email "$user" --password-stdin --device "$(uname -n)" <"$run/password" >/dev/null || fail "logging in failed"
	echo "$url" >"$run/client/url"
fi
mkdir -p "$drive"
setsid -w satchel mount "$drive" </dev/null >/dev/null || fail "mounting $drive failed"

cat <<TXT

  Satchel is running.

  Folder    $drive
  Web page  $url/
  Login     $user
  Password  $password

  Try, in another terminal:
    cp -r docs "$drive" && ls -l "$drive/docs"
    . .run/env                  # then:
    satchel status              # what is not on the server yet
    satchel sync --wait         # come back when all is
    curl -s \$URL/rpc/login -H 'Content-Type: application/json' \\
         -d "{\\"email\\":\\"\$EMAIL\\",\\"password\\":\\"\$PASSWORD\\"}"

  Ctrl-C ends the server and unmounts the folder; your files are kept.

TXT
while alive "$server"; do wait "$server"; done
fail "the server ended by itself; its log is $run/server.log"
