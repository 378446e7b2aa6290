package main

import "satchel/cmd/internal/cli"

// examples are what the help of each command shows. A test reads each of them
// as the program would.
var examples = cli.Examples{
	"": `
		satcheld user add you@example.org --password-stdin <password.txt # an account
		satcheld serve # with its own PostgreSQL and files, at http://127.0.0.1:7070`,
	"serve": `
		satcheld serve --data /srv/satchel # behind a proxy that speaks https
		satcheld serve --listen :443 --tls-cert cert.pem --tls-key key.pem
		satcheld serve --database-url postgres://satchel@db/satchel --blobs 's3://bucket/drive?region=eu-central-1'
		satcheld serve --s3-listen 127.0.0.1:7071 # buckets for S3 clients too`,
	"user add": `
		satcheld user add you@example.org --password-stdin <password.txt
		satcheld user add you@example.org --quota 50G --password-stdin <password.txt
		satcheld user add boss@example.org --role admin --password-stdin <password.txt`,
	"user list": `
		satcheld user list`,
	"user disable": `
		satcheld user disable you@example.org # the files stay`,
	"user enable": `
		satcheld user enable you@example.org # after disable`,
	"user role": `
		satcheld user role you@example.org admin # sees metadata of all, content of none`,
	"user quota": `
		satcheld user quota you@example.org 100G
		satcheld user quota you@example.org none`,
	"user passwd": `
		satcheld user passwd you@example.org --password-stdin <password.txt`,
	"keys list": `
		satcheld keys list`,
	"keys rotate": `
		satcheld keys rotate`,
	"gc": `
		satcheld gc`,
	"fsck": `
		satcheld fsck
		satcheld fsck --repair`,
	"backup": `
		satcheld backup /backup/satchel.tar # while the server runs`,
	"restore": `
		satcheld restore /backup/satchel.tar --data /srv/new # while no server runs`,
	"blobs copy": `
		satcheld blobs copy file:/srv/satchel/blobs 's3://bucket/drive?region=eu-central-1' # then serve with --blobs and the same`,
	"blobs claim": `
		satcheld blobs claim # the store of --blobs, whose former installation is no more
		satcheld blobs claim 's3://backups/satchel?region=eu-central-1' # a store of its backups`,
	"bans list": `
		satcheld bans`,
	"bans lift": `
		satcheld bans lift 192.0.2.7`,
	"migrate": `
		satcheld migrate --database-url postgres://admin@db/satchel`,
	"psql-url": `
		psql "$(satcheld psql-url)"`,
	"completion": `
		satcheld completion bash >/etc/bash_completion.d/satcheld`,
	"man": `
		satcheld man /usr/local/share/man/man8`,
	"help": `
		satcheld help
		satcheld help user add # as satcheld user add --help`,
	"version": `
		satcheld version
		satcheld version --json`,
}
