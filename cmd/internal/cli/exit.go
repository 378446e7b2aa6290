package cli

// Exit codes: a contract that scripts rely on.
const (
	ExitFailed  = 1
	ExitUsage   = 2 // the command line is wrong, and nothing was done
	ExitRemains = 3 // it was done, but for what the message says, which somebody has to see to
)
