#!/bin/sh
# Makes what is given to others, into dist/: static binaries for Linux, the client for macOS, and
# Debian packages where dpkg-deb is. VERSION names it.
set -eu
cd "$(dirname "$0")/.."
VERSION=${VERSION:-0.0.0}
GO=${GO:-go}
export CGO_ENABLED=0
rm -rf dist
mkdir -p dist

build() { # ARCH PROGRAM…
	arch=$1
	shift
	for program; do
		echo "dist: $program for linux/$arch"
		GOOS=linux GOARCH=$arch $GO build -trimpath -buildvcs=false -ldflags '-s -w' -o "dist/linux-$arch/$program" "./cmd/$program"
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

described() { # PROGRAM SECTION: its manual pages and completions
	for page in dist/.described/"$1"/*."$2"; do
		put 644 "$page" "usr/share/man/man$2/$(basename "$page")"
		gzip -9n "dist/.deb/usr/share/man/man$2/$(basename "$page")"
	done
	put 644 "dist/.described/$1.bash" "usr/share/bash-completion/completions/$1"
	put 644 "dist/.described/$1.zsh" "usr/share/zsh/vendor-completions/_$1"
	put 644 "dist/.described/$1.fish" "usr/share/fish/vendor_completions.d/$1.fish"
}

for arch in amd64 arm64; do
	build $arch satcheld satchel satchel-helper
done

for arch in amd64 arm64; do
	echo "dist: satchel for darwin/$arch"
	GOOS=darwin GOARCH=$arch $GO build -trimpath -buildvcs=false -ldflags '-s -w' -o "dist/darwin-$arch/satchel" ./cmd/satchel
	tar -C "dist/darwin-$arch" --owner=0 --group=0 --sort=name -czf "dist/satchel-$VERSION-darwin-$arch.tar.gz" satchel
done

# Programs of this machine describe themselves.
for program in satcheld satchel; do
	mkdir -p "dist/.described/$program"
	$GO build -trimpath -buildvcs=false -o dist/.described/run "./cmd/$program"
	dist/.described/run man "dist/.described/$program" >/dev/null
	for shell in bash zsh fish; do
		dist/.described/run completion $shell >"dist/.described/$program.$shell"
	done
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
	cat >dist/.deb/DEBIAN/prerm <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now satcheld.service satcheld.socket
fi
END
	cat >dist/.deb/DEBIAN/postrm <<'END'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi # what people stored in /var/lib/satchel stays
END
	chmod 755 dist/.deb/DEBIAN/postinst dist/.deb/DEBIAN/prerm dist/.deb/DEBIAN/postrm
	described satcheld 8
	deb satcheld $arch "server of Satchel, a personal drive" "systemd, ca-certificates, postgresql | postgresql-client"
	put 755 dist/linux-$arch/satchel usr/bin/satchel
	put 755 dist/linux-$arch/satchel-helper usr/sbin/satchel-helper
	described satchel 1
	put 644 LICENSE usr/share/doc/satchel/copyright
	deb satchel $arch "client of Satchel: a personal drive as a folder" "fuse3, ca-certificates"
done
rm -rf dist/.described
(cd dist && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
