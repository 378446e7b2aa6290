// Command satcheld is the server of Satchel, a personal drive: it serves the
// APIs, and manages the accounts and the database behind them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

// commands is the command line: a contract that scripts rely on.
type commands struct {
	installation
	Config   kong.ConfigFlag `setting:"" placeholder:"FILE" help:"Read settings from this file: lines of flag = value."`
	LogLevel slog.Level      `setting:"" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogJSON  bool            `setting:"" name:"log-json" help:"Write the log as lines of JSON, not of text."`
	JSON     bool            `setting:"" name:"json" help:"Print results, and on standard error failures, as JSON."`

	Serve   serveCmd   `cmd:"" help:"Serve until Ctrl-C or SIGTERM."`
	User    userCmd    `cmd:"" help:"Manage the accounts."`
	Keys    keysCmd    `cmd:"" help:"Manage the keys that sign tokens."`
	GC      gcCmd      `cmd:"" name:"gc" help:"Remove what nothing refers to any more, and rewrite packs that are mostly garbage."`
	Fsck    fsckCmd    `cmd:"" help:"Check that rows, objects and content are whole."`
	Backup  backupCmd  `cmd:"" help:"Save everything to a file or a blob store, while the server runs."`
	Restore restoreCmd `cmd:"" help:"Bring a backup back, while no server runs."`
	Blobs   blobsCmd   `cmd:"" help:"Move content between blob stores."`
	Bans    bansCmd    `cmd:"" help:"The addresses that are refused for attacks."`
	Extract extractCmd `cmd:"" hidden:""`
	Migrate migrateCmd `cmd:"" help:"Bring the database to this version; print the SQL for what only its administrator may do."`
	PsqlURL psqlURLCmd `cmd:"" name:"psql-url" help:"Print a URL with which psql connects as satchel_app."`

	Completion completionCmd `cmd:"" help:"Print the script with which a shell completes this program's commands."`
	Man        manCmd        `cmd:"" help:"Write this program's manual pages."`
	Help       helpCmd       `cmd:"" help:"Show what a command does and its flags, as --help does."`
	Version    versionCmd    `cmd:"" help:"Print this program's version."`

	Thumbnail thumbnailCmd `cmd:"" hidden:""`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once; its PostgreSQL goes with it.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// program is what a command works with.
type program struct {
	ctx    context.Context // ends at SIGINT or SIGTERM
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	json   bool // results are to be JSON
	installation
}

// run is the whole program but for the process. It returns the exit code: 0
// for success, else one of [cli.ExitFailed] and its like.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	var cmds commands
	exit := -1
	parser, err := newParser(&cmds, kong.Writers(stdout, stderr), kong.Exit(func(code int) { exit = code }))
	if err != nil {
		return p.fail(err)
	}
	if len(args) > 0 && args[0] == cli.CompleteWord {
		cli.Complete(stdout, parser.Model, args[1:], func(string, string, cli.Given) ([]cli.Candidate, error) { return nil, nil })
		return 0
	}
	unsaid := len(args) == 0
	if unsaid {
		args = []string{"--help"}
	}
	if cli.AsksVersion(args) {
		args = []string{"version"}
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help was printed
		if unsaid {
			return cli.ExitUsage
		}
		return exit
	}
	if err != nil {
		p.json = slices.Contains(args, "--json")
		return p.fail(usageError{cli.Usage("satcheld", err)})
	}
	options := &slog.HandlerOptions{Level: cmds.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(stderr, options)
	if cmds.LogJSON {
		handler = slog.NewJSONHandler(stderr, options)
	}
	p.log = slog.New(handler)
	p.installation, p.json = cmds.installation, cmds.JSON
	return p.fail(command.Run(p, parser.Model))
}

// newParser describes the command line to kong.
func newParser(cmds *commands, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(cmds, append(options,
		kong.Name("satcheld"),
		kong.Description("The server of Satchel, a personal drive."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		cli.Settings("SATCHELD"),
		cli.Durations(),
		kong.Configuration(cli.ReadConfig),
		kong.Vars{"data": defaultData()},
		examples.Option(),
	)...)
}

// usageError is a wrong command line: [cli.ExitUsage].
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

// fail tells a person of the error, if any, and returns the exit code.
func (p *program) fail(err error) int {
	if err == nil {
		return 0
	}
	if p.ctx.Err() != nil && (errors.Is(err, context.Canceled) || api.KindOf(err) == api.Cancelled) {
		fmt.Fprintln(p.stderr, "satcheld: interrupted")
		return cli.ExitFailed
	}
	code, kind := cli.ExitFailed, api.KindOf(err)
	if errors.As(err, new(usageError)) {
		code, kind = cli.ExitUsage, api.Invalid
	}
	message := withoutRepeats(err.Error())
	if p.json {
		cli.PrintFailure(p.stderr, message, string(kind), "")
		return code
	}
	fmt.Fprintln(p.stderr, "satcheld:", message)
	return code
}

// withoutRepeats leaves out lines that were said before: a database is tried with and without TLS, and fails for
// the same reason.
func withoutRepeats(message string) string {
	var lines []string
	for line := range strings.SplitSeq(message, "\n") {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
