#!/bin/sh
# Makes what is given to others, into dist/: static binaries, and Debian packages
# where dpkg-deb is. VERSION names it.
set -eu
cd "$(dirname "$0")/.."
VERSION=${VERSION:-0.0.0}
GO=${GO:-go}
export CGO_ENABLED=0
rm -rf dist
mkdir -p dist

build() { # OS ARCH PROGRAM…
	os=$1 arch=$2
	shift 2
	for program; do
		echo "dist: $program for $os/$arch"
		GOOS=$os GOARCH=$arch $GO build -trimpath -buildvcs=false -ldflags '-s -w' -o "dist/$os-$arch/$program" "./cmd/$program"
	done
}

deb() { # PACKAGE ARCH DESCRIPTION DEPENDS
	package=$1 arch=$2 root=dist/.deb
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
	dpkg-deb --build --root-owner-group -Zxz "$root" "dist/${package}_${VERSION}_$arch.deb" >/dev/null
	rm -rf "$root"
	echo "dist: ${package}_${VERSION}_$arch.deb"
}

put() { # MODE FROM TO
	install -D -m "$1" "$2" "dist/.deb/$3"
}

for arch in amd64 arm64; do
	build linux $arch satcheld satchel satchel-helper
done
# The client on macOS has everything but the mount: put, get, ls, rm, mv, history, share.
for arch in amd64 arm64; do
	build darwin $arch satchel
done

for arch in amd64 arm64; do
	tar -C dist/linux-$arch --owner=0 --group=0 --sort=name -czf "dist/satchel-$VERSION-linux-$arch.tar.gz" satcheld satchel satchel-helper
	command -v dpkg-deb >/dev/null || continue
	put 755 dist/linux-$arch/satcheld usr/bin/satcheld
	put 644 docs/deploy/satcheld.service lib/systemd/system/satcheld.service
	put 644 docs/deploy/satcheld.socket lib/systemd/system/satcheld.socket
	put 644 docs/deploy/satcheld.sysusers usr/lib/sysusers.d/satcheld.conf
	put 644 docs/deploy/satcheld.conf etc/satchel/satcheld.conf
	put 644 LICENSE usr/share/doc/satcheld/copyright
	for doc in docs/operations.md docs/security.md docs/deploy/nginx.conf docs/deploy/Caddyfile docs/deploy/grafana.json docs/deploy/prometheus.yml; do
		put 644 $doc "usr/share/doc/satcheld/$(basename $doc)"
	done
	mkdir -p dist/.deb/DEBIAN
	echo /etc/satchel/satcheld.conf >dist/.deb/DEBIAN/conffiles
	cat >dist/.deb/DEBIAN/postinst <<'END'
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
	chmod 755 dist/.deb/DEBIAN/postinst
	deb satcheld $arch "server of Satchel, a personal drive" "systemd, ca-certificates, postgresql | postgresql-client"
	put 755 dist/linux-$arch/satchel usr/bin/satchel
	put 755 dist/linux-$arch/satchel-helper usr/sbin/satchel-helper
	put 644 LICENSE usr/share/doc/satchel/copyright
	deb satchel $arch "client of Satchel: a personal drive as a folder" "fuse3, ca-certificates"
done
(cd dist && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
