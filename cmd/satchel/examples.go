package main

import "satchel/cmd/internal/cli"

// examples are what the help of each command shows. A test reads each of them
// as the program would.
var examples = cli.Examples{
	"": `
		satchel login https://drive.example.org # log in; a page asks you to confirm
		satchel mount ~/Satchel # the drive as a folder
		satchel status # is everything sent?
		satchel doctor # what is wrong, and what to do`,
	"login": `
		satchel login https://drive.example.org # confirm on a page, on any device
		satchel login https://drive.example.org --email you@example.org # with the account's password
		satchel login https://drive.example.org --email you@example.org --password-stdin <password.txt # in a script
		satchel --profile work login https://drive.example.com --device "office PC" # a second login`,
	"logout": `
		satchel logout # end this machine's login; its secret is worth nothing then
		satchel --profile work logout`,
	"whoami": `
		satchel whoami
		satchel whoami --json | jq -r .email`,
	"devices list": `
		satchel devices # and which of them this one is
		satchel devices --json | jq -r '.[].name'`,
	"devices revoke": `
		satchel devices revoke "old phone" # it can neither read nor send any more`,
	"app-password add": `
		satchel app-password add "office PC" # the password is printed once`,
	"app-password list": `
		satchel app-password # the same`,
	"app-password revoke": `
		satchel app-password revoke "office PC"`,
	"access-key add": `
		satchel access-key add backup >>~/.aws/credentials # under a line such as [satchel]`,
	"access-key list": `
		satchel access-key # the same`,
	"access-key rotate": `
		satchel access-key rotate SKEXAMPLE`,
	"access-key revoke": `
		satchel access-key revoke SKEXAMPLE`,
	"mount": `
		satchel mount ~/Satchel # goes on in the background
		satchel mount ~/Satchel --foreground # until Ctrl-C
		satchel mount ~/Satchel --cache-size 50GiB # keep more on this machine
		satchel mount ~/Satchel --read-only # look, but change nothing`,
	"umount": `
		satchel umount ~/Satchel # sends the rest first
		satchel umount ~/Satchel --now # the rest is sent after the next mount`,
	"status": `
		satchel status
		satchel status --json | jq .pending_bytes`,
	"export-unsent": `
		satchel export-unsent ~/rescued # with the server gone, or this device revoked`,
	"sync": `
		satchel sync --wait # come back when the server has everything
		satchel sync --wait --timeout 5m`,
	"pause": `
		satchel pause # until satchel resume
		satchel pause --for 2h`,
	"resume": `
		satchel resume # on a metered connection too`,
	"pin": `
		satchel pin Photos/2026 # a path of the drive
		satchel pin ~/Satchel/Photos/2026 # the same, by the folder
		satchel pin # what is pinned`,
	"unpin": `
		satchel unpin Photos/2026`,
	"ls": `
		satchel ls # what is at the top
		satchel ls -l Photos
		satchel ls --json Photos | jq -r '.[].name'`,
	"put": `
		satchel put letter.odt Letters/ # into a directory, made if it is missing
		satchel put ~/Photos Backup/ # a directory whole, as Backup/Photos; again to go on after a break
		tar cz src | satchel put - src.tar.gz`,
	"get": `
		satchel get Letters/letter.odt # into this directory
		satchel get Photos ~/ # a directory whole, as ~/Photos; again to go on after a break
		satchel get src.tar.gz - | tar xz`,
	"mkdir": `
		satchel mkdir Letters
		satchel mkdir -p Photos/2026/Summer # those above it, too`,
	"rm": `
		satchel rm Letters/draft.odt # it is in the trash for 30 days
		satchel rm -r Photos/2019`,
	"mv": `
		satchel mv draft.odt letter.odt
		satchel mv letter.odt Letters/`,
	"history": `
		satchel history Letters/letter.odt`,
	"restore": `
		satchel restore Letters/letter.odt --version 0193f2 # satchel history shows versions
		satchel restore --at 2026-01-31T18:00 --dry-run # what that would change
		satchel restore --at 2026-01-31T18:00 # the whole drive; can be undone`,
	"trash list": `
		satchel trash`,
	"trash restore": `
		satchel trash restore Letters/letter.odt`,
	"trash empty": `
		satchel trash empty # asks first, at a terminal
		satchel trash empty --yes`,
	"share": `
		satchel share # all that others may use
		satchel share Photos --with bob@example.org --may write # who finds it with satchel shared
		satchel share Photos --stop bob@example.org
		satchel share letter.odt --link --for 48h # prints the link
		satchel share letter.odt --link --password-stdin <password.txt
		satchel share index.html --public`,
	"shared list": `
		satchel shared # the same
		satchel shared --json | jq -r '.[].name'`,
	"shared add": `
		satchel shared add Photos # into your drive, and so into the mounted folder
		satchel shared add Photos 'Photos of Ada' # by another name`,
	"shared remove": `
		satchel shared remove 'Photos of Ada'`,
	"shared get": `
		satchel shared get Photos ~/ # as ~/Photos, without the mounted folder
		satchel shared get letter.txt - # to standard output`,
	"service install": `
		satchel service install ~/Satchel # from now on it is always there
		satchel service install ~/Satchel --cache-size 50GiB`,
	"service remove": `
		satchel service remove ~/Satchel`,
	"helper install": `
		sudo satchel helper install
		satchel helper install --root build/package --binary bin/satchel-helper # for packages`,
	"helper remove": `
		sudo satchel helper remove`,
	"doctor": `
		satchel doctor
		satchel doctor --json | jq '.[] | select(.state != "ok")'`,
	"bench": `
		satchel bench ~/Satchel # what takes how long there
		satchel bench ~/Satchel /tmp # and how that compares`,
	"completion": `
		satchel completion bash >~/.local/share/bash-completion/completions/satchel
		satchel completion zsh >~/.zfunc/_satchel # with ~/.zfunc in fpath
		satchel completion fish >~/.config/fish/completions/satchel.fish`,
	"man": `
		satchel man ~/.local/share/man/man1`,
	"help": `
		satchel help
		satchel help share # as satchel share --help`,
	"version": `
		satchel version
		satchel version --json`,
}
