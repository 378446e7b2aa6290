// Command satchel keeps a personal drive on this machine: it logs in, mounts
// the drive as a folder, and copies files to and from it without a mount.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"satchel/api"
	"satchel/api/client"
	"satchel/cmd/internal/cli"
)

// commands is the command line: a contract that scripts rely on.
type commands struct {
	Profile   string          `setting:"" default:"default" placeholder:"NAME" help:"Which login to use; several are kept apart." complete:"profile"`
	Config    kong.ConfigFlag `setting:"" placeholder:"FILE" help:"Read settings from this file: lines of flag = value." complete:"file"`
	LimitUp   rate            `setting:"" name:"limit-up" placeholder:"SIZE" help:"Send at most so many bytes a second, such as 500KiB."`
	LimitDown rate            `setting:"" name:"limit-down" placeholder:"SIZE" help:"Receive at most so many bytes a second."`
	JSON      bool            `setting:"" name:"json" help:"Print results, and on standard error failures, as JSON."`

	Login   loginCmd   `cmd:"" help:"Log this machine in to a server."`
	Logout  logoutCmd  `cmd:"" help:"End this machine's login."`
	Whoami  whoamiCmd  `cmd:"" help:"Show who is logged in, and where."`
	Devices devicesCmd `cmd:"" help:"List the account's devices, or revoke one."`

	AppPassword appPasswordCmd `cmd:"" help:"List, make and end passwords for programs that know no tokens, as WebDAV clients."`
	AccessKey   accessKeyCmd   `cmd:"" help:"List, make and end keys for S3 clients."`

	Mount  mountCmd  `cmd:"" help:"Show the drive as a folder."`
	Umount umountCmd `cmd:"" help:"Take the folder away again."`
	Status statusCmd `cmd:"" help:"Show what the mounted drive is doing."`
	Sync   syncCmd   `cmd:"" help:"Send what was changed in the folder now."`

	Pause  pauseCmd  `cmd:"" help:"Send nothing for a while; the folder goes on working."`
	Resume resumeCmd `cmd:"" help:"Send again."`

	ExportUnsent exportUnsentCmd `cmd:"" help:"Copy what the server does not have yet to a folder, without the server."`

	Pin   pinCmd   `cmd:"" help:"Keep a file or folder on this machine, and fetch it now; list what is kept."`
	Unpin unpinCmd `cmd:"" help:"Let a pinned file or folder go when room is needed."`

	Ls    lsCmd    `cmd:"" help:"List a directory of the drive."`
	Put   putCmd   `cmd:"" help:"Copy files and directories to the drive."`
	Get   getCmd   `cmd:"" help:"Copy files and directories from the drive."`
	Mkdir mkdirCmd `cmd:"" help:"Make directories on the drive."`
	Rm    rmCmd    `cmd:"" help:"Remove files from the drive."`
	Mv    mvCmd    `cmd:"" help:"Rename or move a file or directory of the drive."`

	History historyCmd `cmd:"" help:"List the versions of a file."`
	Restore restoreCmd `cmd:"" help:"Make a file, or the whole drive, what it was before."`
	Trash   trashCmd   `cmd:"" help:"List what was deleted, bring it back, or empty the trash."`

	Share  shareCmd  `cmd:"" help:"Let others use a file or folder, or show who may."`
	Shared sharedCmd `cmd:"" help:"List what others share with you, put a folder of it into your drive, or copy it."`

	Service serviceCmd `cmd:"" help:"Mount the drive at every login, and again after a crash."`
	Helper  helperCmd  `cmd:"" help:"Give ordinary users' drives the kernel's full speed."`

	Doctor     doctorCmd     `cmd:"" help:"Find out what keeps the drive from working, or from its full speed, and say what to do."`
	Bench      benchCmd      `cmd:"" help:"Time everyday work in a folder, on the drive or not."`
	Completion completionCmd `cmd:"" help:"Print the script with which a shell completes this program's commands."`
	Man        manCmd        `cmd:"" help:"Write this program's manual pages."`
	Help       helpCmd       `cmd:"" help:"Show what a command does and its flags, as --help does."`
	Version    versionCmd    `cmd:"" help:"Print this program's version."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// shell is what a command works with.
type shell struct {
	ctx     context.Context // ends at SIGINT or SIGTERM
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	places  places
	profile string
	json    bool // results are to be JSON
	model   *kong.Application
	rates   client.Rates
	given   []string // the settings of this command's line and of the environment
	asked   bool     // what the server has was asked for
}

// run is the whole program but for the process: it returns the exit code, 0
// for success, else one of [cli.ExitFailed] and its like.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sh := &shell{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	var err error
	if sh.places, err = findPlaces(); err != nil {
		return sh.fail(err)
	}

	var cmds commands
	exit := -1
	parser, err := newParser(&cmds, sh.places, kong.Writers(stdout, stderr), kong.Exit(func(code int) { exit = code }))
	if err != nil {
		return sh.fail(usageError{err.Error()})
	}
	if len(args) > 0 && args[0] == cli.CompleteWord {
		cli.Complete(stdout, parser.Model, args[1:], sh.complete)
		return 0
	}
	bare := len(args) == 0
	if bare {
		args = []string{"--help"}
	}
	if cli.AsksVersion(args) {
		args = []string{"version"}
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help was printed
		if bare {
			return cli.ExitUsage
		}
		return exit
	}
	if err != nil {
		sh.json = slices.Contains(args, "--json")
		return sh.fail(usageError{usageMessage(err)})
	}
	sh.profile, sh.json = cmds.Profile, cmds.JSON
	sh.model, sh.given = parser.Model, given(command)
	for _, limit := range []rate{cmds.LimitUp, cmds.LimitDown} {
		if limit != 0 && limit < client.MinRate {
			return sh.fail(usageError{fmt.Sprintf("--limit-up and --limit-down must be at least %v", size(client.MinRate))})
		}
	}
	if cli.IsTerminal(stderr) && !sh.json {
		sh.ctx = client.WithSilence(sh.ctx, func(server string) {
			fmt.Fprintf(stderr, "waiting: %s does not answer yet; Ctrl-C gives up\n", server)
		})
	}
	sh.rates = client.Rates{Up: int64(cmds.LimitUp), Down: int64(cmds.LimitDown)}
	if err := checkProfileName(sh.profile); err != nil {
		return sh.fail(err)
	}
	code := sh.fail(command.Run(sh))
	sh.noteUnsent()
	return code
}

// newParser describes the command line to kong.
func newParser(cmds *commands, p places, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(cmds, append(options,
		kong.Name("satchel"),
		kong.Description("A personal drive as a local folder."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Vars{"path": drivePathHelp},
		cli.Settings("SATCHEL"),
		cli.Durations(),
		kong.Configuration(cli.ReadConfig, p.configFile()),
		examples.Option(),
	)...)
}

// usageError is a wrong command line: [cli.ExitUsage].
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func usageMessage(err error) string {
	return cli.Usage("satchel", err)
}

// silentError is a failure that has been told already: [cli.ExitFailed].
type silentError struct{}

func (silentError) Error() string { return "failed" }

// remainsError is what is left to do for somebody after a command did what else it was asked for: [cli.ExitRemains].
// The message says what, and how.
type remainsError struct{ error }

func (e remainsError) Unwrap() error { return e.error }

// fail tells a person of the error, if any, and returns the exit code.
func (sh *shell) fail(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(silentError)):
		return cli.ExitFailed
	}
	if sh.ctx.Err() != nil && api.KindOf(err) == api.Cancelled {
		fmt.Fprintln(sh.stderr, "satchel: interrupted")
		return cli.ExitFailed
	}
	code, kind := cli.ExitFailed, kindOf(err)
	switch {
	case errors.As(err, new(usageError)):
		code, kind = cli.ExitUsage, api.Invalid
	case errors.As(err, new(remainsError)):
		code = cli.ExitRemains
	}
	next := ""
	if code == cli.ExitFailed {
		next = sh.nextStep(err)
	}
	if sh.json {
		cli.PrintFailure(sh.stderr, err.Error(), string(kind), next)
		return code
	}
	fmt.Fprintln(sh.stderr, cli.Paint(sh.stderr, cli.Bad, "satchel:"), err)
	if next != "" {
		fmt.Fprintln(sh.stderr, next)
	}
	return code
}

// tell reports a failure that does not end the command.
func (sh *shell) tell(err error) {
	if sh.json {
		cli.PrintFailure(sh.stderr, err.Error(), string(kindOf(err)), "")
		return
	}
	fmt.Fprintln(sh.stderr, "satchel:", err)
}

// Kinds that are only this program's.
const (
	busy    api.Kind = "busy"    // what has to wait until a folder of this machine is no longer in use
	refused api.Kind = "refused" // what the server did not take, and is kept here
)

// kindOf is [api.KindOf], and what of the kinds the system's errors are.
func kindOf(err error) api.Kind {
	kind := api.KindOf(err)
	if kind != api.Internal {
		return kind
	}
	for _, known := range []struct {
		is   error
		kind api.Kind
	}{
		{fs.ErrNotExist, api.NotFound}, {fs.ErrPermission, api.Permission}, {fs.ErrExist, api.Exists},
		{syscall.ENOSPC, api.NoSpace}, {syscall.EDQUOT, api.NoSpace}, {syscall.ENOTDIR, api.NotDirectory},
		{syscall.EISDIR, api.IsDirectory}, {syscall.EBUSY, busy},
	} {
		if errors.Is(err, known.is) {
			return known.kind
		}
	}
	return kind
}

// nextStep is what to do about an error whose message does not say it: the
// lines after its first do.
func (sh *shell) nextStep(err error) string {
	if strings.Contains(err.Error(), "\n") {
		return ""
	}
	switch api.KindOf(err) {
	case api.Unauthenticated:
		if !errors.As(err, new(loginError)) {
			return "log in with: " + sh.command("login URL --email EMAIL")
		}
	case api.Unavailable:
		return "check the address and the network, and that the server runs; then try again"
	case api.Quota:
		return "make room on the drive, or ask the server's administrator for a larger quota"
	}
	return ""
}
