#!/bin/sh
# Makes what is given to others, into dist/: static binaries for Linux, the client for macOS, and
# Debian packages where dpkg-deb is. VERSION names it; SYSTEMS and ARCHES leave some out, DIST is another
# place, and COMPRESSION how packages are packed.
# The same sources give the same bytes: SOURCE_DATE_EPOCH, by default the time of the last commit, is the only time in them.
set -eu
cd "$(dirname "$0")/.."
VERSION=${VERSION:-0.0.0}
GO=${GO:-go}
SYSTEMS=${SYSTEMS:-linux darwin}
ARCHES=${ARCHES:-amd64 arm64}
DIST=${DIST:-dist}
COMPRESSION=${COMPRESSION:-xz}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export CGO_ENABLED=0 SOURCE_DATE_EPOCH
umask 022
rm -rf "$DIST"
mkdir -p "$DIST"

build() { # SYSTEM ARCH PROGRAM…
	system=$1 arch=$2
	shift 2
	for program; do
		echo "dist: $program for $system/$arch"
		GOOS=$system GOARCH=$arch $GO build -trimpath -buildvcs=false -ldflags "-s -w -X satchel/cmd/internal/cli.version=$VERSION" -o "$DIST/$system-$arch/$program" "./cmd/$program"
	done
}

archive() { # SYSTEM ARCH PROGRAM…
	name=$1-$2
	shift 2
	tar -C "$DIST/$name" --owner=0 --group=0 --numeric-owner --mode=0755 --sort=name --mtime="@$SOURCE_DATE_EPOCH" -cf - "$@" |
		gzip -9n >"$DIST/satchel-$VERSION-$name.tar.gz"
}

has() { # WORD WORDS: among them
	case " $2 " in *" $1 "*) return 0 ;; esac
	return 1
}

deb() { # PACKAGE ARCH DESCRIPTION DEPENDS
	package=$1 arch=$2 root=$DIST/.deb
	mkdir -p "$root/DEBIAN"
	cat >"$root/DEBIAN/control" <<END
Package: $package
Version: $VERSION
Architecture: $arch
Maintainer: Satchel <satchel@localhost>
Section: net
Priority: optional
Depends: $4
Description: $3
END
	dpkg-deb --build --root-owner-group -Z"$COMPRESSION" "$root" "$DIST/${package}_${VERSION}_$arch.deb" >/dev/null
	rm -rf "$root"
	echo "dist: ${package}_${VERSION}_$arch.deb"
}

put() { # MODE FROM TO
	install -D -m "$1" "$2" "$DIST/.deb/$3"
}

described() { # PROGRAM SECTION: its manual pages and completions
	for page in "$DIST/.described/$1"/*."$2"; do
		put 644 "$page" "usr/share/man/man$2/$(basename "$page")"
		gzip -9n "$DIST/.deb/usr/share/man/man$2/$(basename "$page")"
	done
	put 644 "$DIST/.described/$1.bash" "usr/share/bash-completion/completions/$1"
	put 644 "$DIST/.described/$1.zsh" "usr/share/zsh/vendor-completions/_$1"
	put 644 "$DIST/.described/$1.fish" "usr/share/fish/vendor_completions.d/$1.fish"
}

for arch in $ARCHES; do
	if has darwin "$SYSTEMS"; then
		build darwin "$arch" satchel
		archive darwin "$arch" satchel
	fi
done
linux=""
! has linux "$SYSTEMS" || linux=$ARCHES
for arch in $linux; do
	build linux "$arch" satcheld satchel satchel-helper
done

# Programs of this machine describe themselves.
for program in satcheld satchel; do
	mkdir -p "$DIST/.described/$program"
	run="$DIST/linux-$($GO env GOARCH)/$program"
	[ -x "$run" ] || {
		run="$DIST/.described/run"
		$GO build -trimpath -buildvcs=false -o "$run" "./cmd/$program"
	}
	"$run" man "$DIST/.described/$program" >/dev/null
	for shell in bash zsh fish; do
		"$run" completion $shell >"$DIST/.described/$program.$shell"
	done
done

for arch in $linux; do
	archive linux "$arch" satcheld satchel satchel-helper
	command -v dpkg-deb >/dev/null || continue
	put 755 "$DIST/linux-$arch/satcheld" usr/bin/satcheld
	put 644 docs/deploy/satcheld.service lib/systemd/system/satcheld.service
	put 644 docs/deploy/satcheld.socket lib/systemd/system/satcheld.socket
	put 644 docs/deploy/satcheld.sysusers usr/lib/sysusers.d/satcheld.conf
	put 644 docs/deploy/satcheld.conf etc/satchel/satcheld.conf
	put 644 LICENSE usr/share/doc/satcheld/copyright
	for doc in docs/operations.md docs/security.md docs/deploy/nginx.conf docs/deploy/Caddyfile docs/deploy/grafana.json docs/deploy/prometheus.yml; do
		put 644 $doc "usr/share/doc/satcheld/$(basename $doc)"
	done
	mkdir -p "$DIST/.deb/DEBIAN"
	echo /etc/satchel/satcheld.conf >"$DIST/.deb/DEBIAN/conffiles"
	cat >"$DIST/.deb/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	systemd-sysusers /usr/lib/sysusers.d/satcheld.conf
	systemctl daemon-reload
	if [ -n "$2" ] && systemctl is-active --quiet satcheld.service; then
		systemctl restart satcheld.service # the socket stays: clients wait
	fi
fi
END
	cat >"$DIST/.deb/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now satcheld.service satcheld.socket
fi
END
	cat >"$DIST/.deb/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi # what people stored in /var/lib/satchel stays
END
	chmod 755 "$DIST/.deb/DEBIAN/postinst" "$DIST/.deb/DEBIAN/prerm" "$DIST/.deb/DEBIAN/postrm"
	described satcheld 8
	deb satcheld $arch "server of Satchel, a personal drive" "systemd, ca-certificates, postgresql | postgresql-client"
	put 755 "$DIST/linux-$arch/satchel" usr/bin/satchel
	put 755 "$DIST/linux-$arch/satchel-helper" usr/sbin/satchel-helper
	for unit in cmd/satchel/units/satchel-helper.*; do
		sed 's|@BINARY@|/usr/sbin/satchel-helper|; s|@SOCKET@|/run/satchel-helper.sock|' "$unit" >"$DIST/.unit"
		put 644 "$DIST/.unit" "lib/systemd/system/$(basename "$unit")"
	done
	rm "$DIST/.unit"
	described satchel 1
	put 644 LICENSE usr/share/doc/satchel/copyright
	mkdir -p "$DIST/.deb/DEBIAN"
	# The helper is started only where an administrator says so: satchel helper install. DPKG_ROOT is dpkg's, for another system's directory.
	cat >"$DIST/.deb/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
units=$DPKG_ROOT/etc/systemd/system copy=/usr/local/libexec/satchel-helper
if [ "$1" = configure ]; then
	# What satchel helper install copied, before this package had units, would stay as it is for ever.
	if command -v systemctl >/dev/null && grep -qsx "ExecStart=$copy" "$units/satchel-helper.service"; then
		enabled=$(systemctl --root="$DPKG_ROOT/" is-enabled satchel-helper.socket || true)
		systemctl --root="$DPKG_ROOT/" disable satchel-helper.socket
		rm -f "$units/satchel-helper.service" "$units/satchel-helper.socket" "$DPKG_ROOT$copy"
		[ "$enabled" != enabled ] || systemctl --root="$DPKG_ROOT/" enable satchel-helper.socket
	fi
	if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		systemctl try-restart satchel-helper.service # the socket stays: mounted drives connect again
	fi
fi
END
	cat >"$DIST/.deb/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ]; then
	if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now satchel-helper.socket satchel-helper.service # mounted drives go on through their daemons
	elif command -v systemctl >/dev/null; then
		systemctl --root="$DPKG_ROOT/" disable satchel-helper.socket
	fi
fi
END
	cat >"$DIST/.deb/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
END
	chmod 755 "$DIST/.deb/DEBIAN/postinst" "$DIST/.deb/DEBIAN/prerm" "$DIST/.deb/DEBIAN/postrm"
	deb satchel $arch "client of Satchel: a personal drive as a folder" "fuse3, ca-certificates"
done
rm -rf "$DIST/.described"
(cd "$DIST" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
