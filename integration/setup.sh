#!/bin/sh
# Installs what Satchel's build, run and tests need on Debian or Ubuntu and is
# not there yet. Says what it will install before it does; when all is there
# it is quick and silent.
set -eu

say() { printf 'setup: %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		say "this needs root and there is no sudo; run as root: $*" >&2
		exit 1
	fi
}

have_postgres() {
	have initdb && have postgres && return 0
	for d in /usr/lib/postgresql/*/bin; do
		[ -x "$d/initdb" ] && [ -x "$d/postgres" ] && return 0
	done
	return 1
}

have_vim() { have vim || have vim.tiny; }

packages=""
need() { packages="$packages $1"; }

if ! have go; then
	say "Go 1.26 or newer is needed and not in PATH: https://go.dev/dl/" >&2
	exit 1
fi
have_postgres || need postgresql
have fusermount3 || need fuse3
have git || need git
have sqlite3 || need sqlite3
have rsync || need rsync
have tar || need tar
have diff || need diffutils
have setfacl || need acl
have setfattr || need attr
have_vim || need vim-tiny
if [ "${1:-}" != run ]; then # only for tests
	have chromium || have chromium-browser || need chromium
	have mandoc || need mandoc
	have zsh || need zsh
	have fish || need fish
	have nginx || need nginx-light
	have gio || need libglib2.0-bin
	have dbus-daemon || need dbus
	have gnome-keyring-daemon || need gnome-keyring
	have secret-tool || need libsecret-tools
fi
if [ "${1:-}" != run ]; then # clients that the tests use
	have litmus || need litmus
	have cadaver || need cadaver
	have mount.davfs || need davfs2
	have rclone || need rclone
	have s3cmd || need s3cmd
	have aws || need awscli
	have npm || need npm
	have systemd-analyze || need systemd # checks the units there
fi
[ -e /etc/ssl/certs/ca-certificates.crt ] || need ca-certificates
if [ "${1:-}" = desktop ]; then # for make desktop
	have Xvfb || need xvfb
	have xdotool || need xdotool
	have openbox || need openbox
	have import || need imagemagick
	have thunar || need thunar
	have viewnior || need viewnior
	have unzip || need unzip
	[ -e /usr/lib/libreoffice/program/libvclplug_gtk3lo.so ] || need "libreoffice-writer libreoffice-gtk3"
fi
if [ "${1:-}" = programs ]; then # for make programs
	have fio || need fio
	have stress-ng || need stress-ng
	have dbench || need dbench
	[ -e /usr/lib/libreoffice/program/libswlo.so ] || need libreoffice-writer-nogui
	[ -e /usr/lib/libreoffice/program/libsclo.so ] || need libreoffice-calc-nogui
	[ -e /usr/lib/python3/dist-packages/uno.py ] || need python3-uno
fi

if [ -n "$packages" ]; then
	have apt-get || {
		say "needed:$packages (apt-get is not here; install them your system's way)" >&2
		exit 1
	}
	say "installing:$packages"
	# Only PostgreSQL's programs are wanted: satcheld runs its own server, so
	# the package shall not make and start a cluster of its own.
	no_cluster=""
	case " $packages " in *" postgresql "*)
		no_cluster=/etc/postgresql-common/createcluster.d/satchel.conf
		as_root mkdir -p "${no_cluster%/*}"
		echo "create_main_cluster = false" | as_root tee "$no_cluster" >/dev/null
		;;
	esac
	as_root apt-get update -qq
	# shellcheck disable=SC2086 # the list is words
	as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $packages >/dev/null
	[ -z "$no_cluster" ] || as_root rm -f "$no_cluster"
	say "done"
fi

if [ ! -e /dev/fuse ]; then
	say "loading the kernel's fuse module"
	as_root modprobe fuse || {
		say "this machine has no /dev/fuse and the module can't be loaded; nothing can be mounted here" >&2
		exit 1
	}
fi
# fusermount3 opens /dev/fuse as the user. Desktops have it 0666 (udev's
# rule); some bare machines have 0600.
if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
	say "making /dev/fuse 0666, so that you may mount as an ordinary user"
	as_root chmod 0666 /dev/fuse
fi

# The S3 server of the tests. It is built from its module, outside go.mod, so
# that its many dependencies are none of ours.
versitygw=v1.8.0
if [ "${1:-}" != run ] && ! go version -m bin/tools/versitygw 2>/dev/null | grep -q "versitygw[[:space:]]$versitygw[[:space:]]"; then
	say "building versitygw $versitygw, an S3 server for the tests (some minutes the first time)"
	mkdir -p bin/tools
	GOBIN="$PWD/bin/tools" go install -trimpath "github.com/versity/versitygw/cmd/versitygw@$versitygw"
fi

# What looks for obstacles in the pages. It is for the tests alone, and comes from npm, since
# nothing else has it.
axe=4.10.3
axe_sum=880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb
if [ "${1:-}" != run ] && ! echo "$axe_sum  bin/tools/axe.min.js" | sha256sum --check --status 2>/dev/null; then
	say "fetching axe-core $axe, which the tests of the pages use"
	mkdir -p bin/tools
	fetched="$(mktemp -d)"
	(cd "$fetched" && npm pack --silent "axe-core@$axe" >/dev/null)
	tar -xzOf "$fetched/axe-core-$axe.tgz" package/axe.min.js >bin/tools/axe.min.js
	rm -rf "$fetched"
	echo "$axe_sum  bin/tools/axe.min.js" | sha256sum --check --quiet
fi

# The certificate authority of the tests, Let's Encrypt's own, in the same way.
pebble=v2.10.3
if [ "${1:-}" != run ] && ! go version -m bin/tools/pebble 2>/dev/null | grep -q "pebble/v2[[:space:]]$pebble[[:space:]]"; then
	say "building pebble $pebble, a certificate authority for the tests"
	mkdir -p bin/tools
	GOBIN="$PWD/bin/tools" go install -trimpath "github.com/letsencrypt/pebble/v2/cmd/pebble@$pebble"
fi
